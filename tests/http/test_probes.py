"""What machines ask a server."""

from httpx import AsyncClient

_PERSON = {"email": "ada@example.com", "password": "StrongPass123$"}


async def test_a_server_is_alive_and_ready(client: AsyncClient) -> None:
    """Both probes answer at once, without a token."""
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_metrics_count_registrations_and_conflicts(client: AsyncClient) -> None:
    """A success and a conflict are counted by door, outcome and field, in Prometheus' format."""
    await client.post("/api/auth/signup", json=_PERSON)
    await client.post("/api/auth/signup", json=_PERSON | {"name": "Another"})
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'semel_registrations_total{door="signup",outcome="created"} 1.0' in answer.text
    assert 'semel_registrations_total{door="signup",outcome="user_already_exists"} 1.0' in answer.text
    assert 'semel_conflicts_total{door="signup",field="email"} 1.0' in answer.text
    assert _PERSON["email"] not in answer.text
