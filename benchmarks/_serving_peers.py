"""What one would write without vantage: a plain handler, and LitServe. They embed and do nothing more.

    python benchmarks/_serving_peers.py plain|litserve PORT MODEL.onnx HEIGHT WIDTH

This file needs nothing of ours, so that it runs where LitServe is installed.
"""

import io
import sys
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

PEER, PORT, MODEL, HEIGHT, WIDTH = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])


def read(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))


def plain() -> None:
    import uvicorn
    from fastapi import FastAPI, Request
    from fastapi.concurrency import run_in_threadpool

    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    app = FastAPI()

    def embed(content: bytes) -> list[float]:
        return session.run(["embedding"], {"crops": read(content)[None]})[0][0].tolist()

    @app.post("/embed")
    async def answer(request: Request) -> dict[str, Any]:
        return {"embedding": await run_in_threadpool(embed, await request.body())}

    uvicorn.run(app, port=PORT, log_level="warning", access_log=False)


if PEER == "litserve":
    import litserve
    from fastapi import Request

    class Embed(litserve.LitAPI):  # out here, because LitServe sends it to a process of its own
        def setup(self, device: str) -> None:
            self.session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])

        def decode_request(self, request: Request) -> np.ndarray:
            return read(request["image"].file.read())  # it takes forms, not plain bodies

        def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
            return np.stack(inputs)

        def predict(self, crops: np.ndarray) -> np.ndarray:
            return self.session.run(["embedding"], {"crops": crops})[0]

        def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
            return list(output)

        def encode_response(self, output: np.ndarray) -> dict[str, Any]:
            return {"embedding": output.tolist()}


def serve_embed() -> None:
    api = Embed(max_batch_size=8, batch_timeout=0.005, api_path="/embed")
    litserve.LitServer(api, accelerator="cpu").run(port=PORT, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    {"plain": plain, "litserve": serve_embed}[PEER]()
