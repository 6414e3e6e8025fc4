wrk.method = "POST"
wrk.body = '{"name": "somebody", "age": 42}'
wrk.headers["Content-Type"] = "application/json"
