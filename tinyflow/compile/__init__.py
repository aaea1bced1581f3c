"""Stage: a trained network to int8 TFLite, a memory plan and straight-line C."""
