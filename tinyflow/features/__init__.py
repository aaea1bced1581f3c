"""Stage: audio to MFCC features. The configuration is pure data; torch is met in ``mfcc`` only."""
