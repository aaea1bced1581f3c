"""Stage: firmware for a board; run, validate, profile and flash it."""
