"""What other systems report over HTTP, in the protocols they speak already.

Every report is answered with 2xx only once the stream has acknowledged all of it: until then its sender keeps it.
"""
