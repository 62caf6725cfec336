mkdir -p search-8.1/bin search-8.1/config search-8.1/lib/a
printf '#!/bin/sh\necho search 8.1\n' > search-8.1/bin/search
echo a > search-8.1/config/search.yml
echo jar > search-8.1/lib/a/a.jar
tar --sort=name --mtime=@1700000000 --owner=1000 --group=1000 -czf search.tar.gz search-8.1
rm -r search-8.1
