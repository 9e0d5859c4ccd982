#!/usr/bin/env bash
# The API by curl: models, a response, the same as a stream, its record, a thumb, and an error.
#   BLENDED_URL=http://127.0.0.1:8000 BLENDED_API_KEY=… docs/examples/session.sh MODEL
set -euo pipefail
model=$1
ask() {
    curl --silent --show-error --header "Authorization: Bearer $BLENDED_API_KEY" \
        --header "Content-Type: application/json" "$@"
    echo
}
question='"messages": [{"role": "user", "content": "Hello!"}]'

ask "$BLENDED_URL/v1/models"
answer=$(ask "$BLENDED_URL/v1/chat/completions" --data "{\"model\": \"$model\", $question}")
echo "$answer"
ask --no-buffer "$BLENDED_URL/v1/chat/completions" \
    --data "{\"model\": \"$model\", $question, \"stream\": true, \"max_tokens\": 3}"

id=$(sed -E 's/.*"id": ?"([^"]+)".*/\1/' <<<"$answer")
ask "$BLENDED_URL/v1/feedback" --data "{\"response_id\": \"$id\", \"thumb\": \"up\"}"
# The record reaches the database a moment later; until then the answer is 404.
ask --fail --retry 5 --retry-all-errors "$BLENDED_URL/v1/records/$id"
ask "$BLENDED_URL/v1/chat/completions" --data "{\"model\": \"nobody\", $question}"
