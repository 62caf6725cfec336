"""A farm: RUN steps on other machines, each platform where it runs natively."""
