// Drives a gateway with the Vercel AI SDK, by both of its ways to ask: `node ai_drive.mjs URL KEY`. Prints JSON.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

const [url, key] = process.argv.slice(2);
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const City = z.object({ city: z.string(), degrees: z.number() });
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `cold in ${city}`,
});

async function features(model) {
  const seen = {};
  const answer = await generateText({ model, prompt: "hi" });
  seen.text = [answer.text, answer.usage.totalTokens > 0];
  const stream = streamText({ model, prompt: "hi" });
  let text = "";
  for await (const delta of stream.textStream) text += delta;
  seen.stream = [text, await stream.finishReason];
  const tools = { weather };
  const stopWhen = isStepCount(3);
  seen.tool = (await generateText({ model, prompt: "weather in both?", tools, stopWhen })).text;
  const steps = streamText({ model, prompt: "weather?", tools, stopWhen });
  const kinds = [];
  for await (const part of steps.fullStream) kinds.push(part.type);
  seen["tool stream"] = [await steps.text, kinds.includes("tool-call"), kinds.includes("error")];
  const messages = [
    { role: "user", content: "hi" },
    ...answer.responseMessages,
    { role: "user", content: "what was before?" },
  ];
  seen.history = (await generateText({ model, messages })).text;
  const typed = await generateText({ model, prompt: "Oslo?", output: Output.object({ schema: City }) });
  seen.typed = typed.output;
  try {
    await generateText({ model, prompt: "fail", maxRetries: 0 });
  } catch (error) {
    seen.error = [error.name, error.statusCode];
  }
  return seen;
}

const seen = { chat: await features(openai.chat("helper")), responses: await features(openai.responses("helper")) };
const first = await generateText({ model: openai.responses("helper"), prompt: "hi" });
const previousResponseId = first.providerMetadata.openai.responseId;
const chained = await generateText({
  model: openai.responses("helper"),
  prompt: "what was before?",
  providerOptions: { openai: { previousResponseId } },
});
seen["previous response"] = chained.text;
process.stdout.write(JSON.stringify(seen) + "\n");
