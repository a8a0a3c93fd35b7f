"""One request with one Python client: `client.py LIBRARY METHOD URL`. Prints {"status", "body"} or {"error"}."""

import asyncio
import json
import os
import sys

CA, HEADERS = os.environ["CA"], {"Authorization": f"Bearer {os.environ['KEY']}"}


def with_requests(method, url):
    import requests

    answer = requests.request(method, url, headers=HEADERS, verify=CA)
    return answer.status_code, answer.text


def with_urllib3(method, url):
    import urllib3

    # Its own retries on: a refusal must not set them off.
    retries = urllib3.Retry(total=3, status_forcelist=[429, 500, 502, 503, 504], respect_retry_after_header=True)
    answer = urllib3.PoolManager(ca_certs=CA, retries=retries).request(method, url, headers=HEADERS)
    return answer.status, answer.data.decode()


def with_httpx(method, url, http2=False):
    import ssl

    import httpx

    with httpx.Client(verify=ssl.create_default_context(cafile=CA), http2=http2, timeout=None) as client:
        answer = client.request(method, url, headers=HEADERS)
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1"), answer.http_version
        return answer.status_code, answer.text


def with_aiohttp(method, url):
    import ssl

    import aiohttp

    async def call():
        context = ssl.create_default_context(cafile=CA)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            async with session.request(method, url, headers=HEADERS) as answer:
                return answer.status, await answer.text()

    return asyncio.run(call())


LIBRARIES = {
    "requests": with_requests,
    "urllib3": with_urllib3,
    "httpx": with_httpx,
    "httpx-h2": lambda method, url: with_httpx(method, url, http2=True),
    "aiohttp": with_aiohttp,
}

if __name__ == "__main__":
    library, method, url = sys.argv[1:]
    status, body = LIBRARIES[library](method, url)
    print(json.dumps({"status": status, "body": body}))
