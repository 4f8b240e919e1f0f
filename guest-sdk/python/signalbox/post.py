"""What a policy on replies answers with: a class `Session` in policy.py, with `push` and, if need be, `finish`."""

from wit_world.exports import post

from ._told import answered, needed, told

#: Send the window as it is.
emit = post.Action_Emit()
#: Keep the window; the next one begins with it.
hold = post.Action_Hold()

_ACTIONS = (post.Action_Emit, post.Action_Hold, post.Action_Stop, post.Action_Replace)


def replace(text: str, kept: str = ""):
    """Send this text for the window, but for its end `kept`, which stays held."""
    return post.Action_Replace(post.Replacement(text, len(kept.encode())))


def stop(text: str = ""):
    """Send this text and end the reply."""
    return post.Action_Stop(text)


def exported(policy):
    """The export of the contract that calls `policy`; for the entry that `signalbox policy build` writes."""
    reply = needed(policy, "Session", "post")
    wanted = "emit, hold, replace(...) or stop(...)"

    class Session:
        def __init__(self, request, expert):
            self.reply = told(reply, request, expert)

        def push(self, window):
            return told(lambda: answered("push", self.reply.push(window), _ACTIONS, wanted))

        def finish(self, window, ended):
            if not hasattr(self.reply, "finish"):
                return emit
            return told(lambda: answered("finish", self.reply.finish(window, ended), _ACTIONS, wanted))

    return Session
