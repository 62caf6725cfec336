"""Static sites: files and a web server. Nothing runs in the build, so nothing is emulated."""

from polyarch.scaffold.project import Project, ProjectPlan, command

# This nginx listens on 8080 and runs as a user without privileges.
SERVER = """\
FROM nginxinc/nginx-unprivileged:stable-alpine
COPY {source} /usr/share/nginx/html/
USER 101
EXPOSE 8080
{command}
"""
START = command("nginx", "-g", "daemon off;")


def plan(project: Project) -> ProjectPlan | None:
    """The plan for a directory of pages; None for anything else."""
    page = project.first(
        *(f"{directory}index.html" for directory in ("", "public/", "site/", "_site/", "dist/", "docs/"))
    )
    if not page:
        return None
    directory = page.rpartition("/")[0]
    return ProjectPlan(
        title="a static site",
        dockerfile=SERVER.format(source=f"{directory}/" if directory else ".", command=START),
        reasons=(
            f"{page}: a page, so {directory or 'the directory'} is served by nginx on port 8080",
            "the files are the same for every platform, and no step runs anything: nothing is emulated",
        ),
        ignored=() if directory else ("node_modules", "README*", "LICENSE*"),
    )
