"""The whole service under load, killed, raced and attacked."""
