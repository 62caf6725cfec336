"""The registry of `polyarch serve`: this machine's store as repositories, over HTTP.

Follows the OCI distribution specification 1.1. `naming.py` says which name in the store a repository of the server has.
`repositories.py` is the store as repositories, without HTTP; `app.py` turns requests into calls of it; `server.py` owns
the sockets and the threads. Importing `app.py` or `server.py` imports aiohttp (the extra `polyarch[serve]`).
"""
