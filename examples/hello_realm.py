"""The smallest useful realm: `symphainy worker examples.hello_realm:realm` runs it."""

from pydantic import BaseModel

from symphainy import Context, Event, Outcome, Realm

realm = Realm("hello")


class Greet(BaseModel):
    name: str


@realm.intent("hello.greet")
async def greet(ctx: Context, payload: Greet) -> Outcome:
    greeting = f"Hello, {payload.name}!"
    return Outcome(result={"greeting": greeting}, events=[Event("person.greeted", payload)])
