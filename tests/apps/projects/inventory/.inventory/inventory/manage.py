import os
import sys

if sys.argv[1] == "collectstatic":
    os.makedirs("inventory/static/css", mode=0o755, exist_ok=True)
    with open("inventory/static/css/all.css", "w") as file:
        file.write("a {}\n")
