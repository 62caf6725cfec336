"""A small web application."""

from fastapi import FastAPI
from jinja2 import Template

from app.prices import total

app = FastAPI()
_PAGE = Template("<script src=/static/main.js></script><p>{{ amount }}</p>")


@app.get("/total")
def show(prices: str) -> str:
    return _PAGE.render(amount=total([int(price) for price in prices.split(",")]))
