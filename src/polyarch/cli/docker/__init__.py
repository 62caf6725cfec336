"""What Polyarch says when it is called as `docker`, or is docker's plugin: docker's words, output and errors"""
