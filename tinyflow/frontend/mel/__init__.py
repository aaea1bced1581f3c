"""What MFCC and log-mel share: window, power spectrum, mel bank and logarithm, in torch and in C."""
