"""What the app talks to: books, for as long as the process lives."""

import ddpcore

server = ddpcore.Server()
titles = ["Emma"]
readers = []


@server.publish("books")
async def books(ctx):
    for title in titles:
        ctx.added("books", title, {"title": title})
    ctx.ready()
    readers.append(ctx)
    ctx.on_stop(lambda: readers.remove(ctx))


@server.method
async def add(ctx, title: str):
    titles.append(title)
    for reader in readers:
        reader.added("books", title, {"title": title})
