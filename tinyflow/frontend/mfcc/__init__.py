"""MFCC, the front end of the paper."""
