"""chartpress builds and pushes the image of a chart, for two platforms, and writes its tag into the chart's values."""

from tests.clients.stage import BOTH, Stage, Wanted

_CHARTPRESS = """
charts:
  - name: app
    imagePrefix: {registry}/charts/
    images:
      web:
        valuesPath: web.image
        contextPath: web
        buildArgs: {{WORD: 'one, two=2'}}
        extraBuildCommandOptions: ["--label=app=web", "--annotation=index:app=web"]
"""


def drive(stage: Stage) -> None:
    project = stage.project(
        {
            "chartpress.yaml": _CHARTPRESS.format(registry=stage.registry),
            "app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 0.0.1\n",
            "app/values.yaml": "web: {image: {name: none, tag: none}}\n",
            "web/Dockerfile": f'FROM {stage.base}\nARG WORD\nRUN echo "$WORD on $(uname -m)" > /word\n',
        }
    )
    stage.commit(project)
    platforms = [word for platform in BOTH for word in ("--platform", platform)]
    command = [stage.place / "venv/bin/chartpress", "--builder", "docker-buildx", "--force-build", "--push"]
    stage.run([*command, *platforms], cwd=project)
    repository = stage.repository("charts/web")
    tags = repository.tags()
    values = (project / "app/values.yaml").read_text()
    stage.check("the values of the chart name the tag", lambda: len(tags) == 1 and tags[0] in values)
    if tags:
        wanted = Wanted(labels={"app": "web"}, annotations={"app": "web"}, files={"word": "one, two=2 on {machine}\n"})
        stage.compare(repository, tags[0], wanted)
