#!/bin/bash
stat -c '%u:%g %a %n' /opt/certified/server/conf /opt/certified /usr/bin/passwd /app
echo written > /opt/certified/server/conf/new && cat /opt/certified/server/conf/new
