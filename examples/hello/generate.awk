# Turns each line of the input into a line of a shell script that prints it.
BEGIN { print "#!/bin/sh" }
{ printf "echo '%s'\n", $0 }
