"""The commands of `nom` that operate the service, a file each, loaded when they are run."""
