#!/bin/sh
rm -f /etc/nginx/sites-enabled/default
