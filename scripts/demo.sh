#!/usr/bin/env bash
# The main job, end to end, on real parts: a real tracker, a real gateway, the official client, and a real model:
# the provider's whose key is in the environment, else the local one.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/environment.sh runtime
keys=(OPENAI_API_KEY ANTHROPIC_API_KEY GEMINI_API_KEY MISTRAL_API_KEY DEEPSEEK_API_KEY GROQ_API_KEY OPENROUTER_API_KEY HOMEPORT_MODEL)
found=
for key in "${keys[@]}"; do [ -n "${!key:-}" ] && found=$key && break; done
if [ -n "$found" ]; then
    echo "Using the model provider of $found."
else
    echo "No provider's key is set, so the demo uses the local model, Qwen2.5-Coder-1.5B-Instruct (Apache-2.0)."
    echo "Its engine (34 MB) and, once, its weights (1.1 GB) are downloaded; it needs 2 GB of memory."
    scripts/environment.sh local
    .venv/bin/homeport model pull
fi
exec .venv/bin/python scripts/demo.py
