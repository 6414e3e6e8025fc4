"""The emptiest useful HTTP service: FastAPI takes a body and answers it."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Body(BaseModel):
    """A small body."""

    name: str
    age: int


@app.post("/")
async def take(body: Body) -> Body:
    """Answer what came."""
    return body
