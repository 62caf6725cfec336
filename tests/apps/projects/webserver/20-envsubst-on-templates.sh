#!/bin/sh
sed "s/\${PORT}/${PORT:-80}/" /etc/nginx/templates/default.conf.template > /etc/nginx/conf.d/default.conf
