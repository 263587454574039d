// Drives a gateway with openai-node: `node openai_drive.mjs URL KEY`. Prints JSON: what was seen, by feature.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const [url, key] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const model = "helper";
const City = z.object({ city: z.string(), degrees: z.number() });
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tool = { type: "function", name: "weather", parameters, strict: true };
const nested = { type: "function", function: { name: "weather", parameters, strict: true } };
const user = (content) => ({ role: "user", content });
const seen = {};

async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return [error.constructor.name, error.status, error.code, Boolean(error.requestID)];
  }
  return "no error";
}

async function chat() {
  const answer = await client.chat.completions.create({ model, messages: [user("hi")] });
  seen.chat = answer.choices[0].message.content;
  const stream = client.chat.completions.stream({
    model,
    messages: [user("hi")],
    stream_options: { include_usage: true },
  });
  seen["chat stream"] = [await stream.finalContent(), (await stream.totalUsage()).total_tokens > 0];
  const runner = client.chat.completions.runTools({
    model,
    stream: true,
    messages: [user("weather in both?")],
    tools: [
      {
        type: "function",
        function: {
          name: "weather",
          parameters,
          parse: JSON.parse,
          description: "The weather.",
          function: ({ city }) => `cold in ${city}`,
        },
      },
    ],
  });
  seen["chat tools"] = await runner.finalContent();
  const called = await client.chat.completions.create({ model, messages: [user("weather?")], tools: [nested] });
  seen["chat tool"] = called.choices[0].message.tool_calls[0].function.arguments;
  const typed = await client.chat.completions.parse({
    model,
    messages: [user("Oslo?")],
    response_format: zodResponseFormat(City, "city"),
  });
  seen["chat typed"] = typed.choices[0].message.parsed;
  seen["chat error"] = await failure(client.chat.completions.create({ model, messages: [user("fail")] }));
}

async function responses() {
  const first = await client.responses.create({ model, input: "hi" });
  seen.response = first.output_text;
  const input = "what was before?";
  const stream = client.responses.stream({ model, input, previous_response_id: first.id });
  let deltas = "";
  stream.on("response.output_text.delta", (event) => (deltas += event.delta));
  const final = await stream.finalResponse();
  seen["response stream"] = [deltas, final.output_text];
  seen.retrieved = (await client.responses.retrieve(final.id)).output_text;
  const called = await client.responses.create({ model, input: "weather in both?", tools: [tool] });
  const results = called.output.map((item) => ({
    type: "function_call_output",
    call_id: item.call_id,
    output: `cold in ${JSON.parse(item.arguments).city}`,
  }));
  const told = await client.responses.create({ model, input: results, previous_response_id: called.id });
  seen["response tools"] = told.output_text;
  const streamed = client.responses.stream({ model, input: "weather?", tools: [tool] });
  const ask = (await streamed.finalResponse()).output;
  const history = [user("weather?"), ...ask, { ...results[0], call_id: ask[0].call_id }];
  seen["response history"] = (await client.responses.create({ model, input: history, tools: [tool] })).output_text;
  const format = zodTextFormat(City, "city");
  seen["response typed"] = (await client.responses.parse({ model, input: "Oslo?", text: { format } })).output_parsed;
  seen["response error"] = await failure(client.responses.create({ model, input: "fail" }));
  seen["unknown model"] = await failure(client.responses.create({ model: "nobody", input: "hi" }));
  await client.responses.delete(final.id);
  seen.deleted = await failure(client.responses.retrieve(final.id));
}

async function conversations() {
  const items = Array.from({ length: 5 }, (_, number) => ({ type: "message", ...user(`line ${number}`) }));
  const conversation = await client.conversations.create({ items, metadata: { topic: "weather" } });
  await client.responses.create({ model, input: "hi", conversation: conversation.id });
  const kinds = [];
  for await (const item of client.conversations.items.list(conversation.id, { limit: 2, order: "asc" })) {
    kinds.push(item.role);
  }
  seen.conversation = kinds;
  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  seen.models = names;
}

await chat();
await responses();
await conversations();
process.stdout.write(JSON.stringify(seen) + "\n");
