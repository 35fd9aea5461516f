"""docs/how-to/python.md: its blocks are one program, which is run; then its `main()` is."""

from typing import Any

from pages import reading


async def test_the_page_on_plain_python_runs() -> None:
    program: dict[str, Any] = {"__name__": "docs"}
    with reading("how-to/python.md") as page:
        for block in page.take("python"):
            exec(block.code(), program)
    await program["main"]()

    # What the page shows, but its main() does not do.
    server, client_class = program["server"], program["Client"]
    await server.start()
    client = client_class(server)
    client.tell(msg="method", id="1", method="notes.count", params=[])
    assert (await client.get("result"))["result"] == 1
    client.tell(msg="method", id="2", method="half", params=["seven"])
    error = (await client.get("result"))["error"]
    assert (error["error"], error["details"]) == (400, {"got": "str"})
    client.tell(msg="method", id="3", method="add", params=[1])
    assert (await client.get("result"))["error"]["reason"] == "Match failed"
    client.tell(msg="sub", id="4", name="clock")
    assert (await client.get("ready"))["subs"] == ["4"]
    changed = await client.get("changed")
    assert (changed["fields"], changed["cleared"]) == ({"ticks": 1}, ["note"])
    client.tell(msg="sub", id="5", name="notesAbout", params=["emma", "tea"])
    assert (await client.get("ready"))["subs"] == ["5"]
    for text in ("coffee", "tea for two"):
        client.tell(msg="method", id=text, method="write", params=["emma", text])
    assert (await client.get("added"))["fields"] == {"author": "emma", "text": "tea for two"}
    await server.stop()
