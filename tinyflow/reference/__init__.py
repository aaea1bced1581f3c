"""The C on the machine we run on, and the interpreters that it must equal: what proofs compare with."""
