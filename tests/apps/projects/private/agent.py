"""Asks the agent for its keys and prints how many there are and what the last is called."""

import os
import socket
import struct

with socket.socket(socket.AF_UNIX) as agent:
    agent.connect(os.environ["SSH_AUTH_SOCK"])
    agent.sendall(struct.pack(">IB", 1, 11))
    size = struct.unpack(">I", agent.recv(4, socket.MSG_WAITALL))[0]
    answer = agent.recv(size, socket.MSG_WAITALL)
count = struct.unpack(">I", answer[1:5])[0]
print(count, answer.rpartition(b"\0\0\0\x0a")[2].decode())
