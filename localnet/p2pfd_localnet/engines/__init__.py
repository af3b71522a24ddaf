"""Where the processes of a mesh's nodes run: on this machine, or on the machines of a Ray cluster."""
