"""The whole story on one machine: the product's own commands against the lab, told live.

Starts the product as a user would and reads what the emulator, the apiserver and the logs say.
"""
