#!/bin/bash
. automation-support
java -jar /usr/share/automation/automation.war "$(id -un):$(id -gn)" "$(pwd)"
stat -c '%U:%G %n' $REF/init.groovy.d /opt/plugin-manager-2.13.0.jar /usr/share/automation/automation.war . /usr/local/bin/automation.sh
