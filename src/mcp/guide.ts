/** What an agent should know before it calls anything. */

export const INSTRUCTIONS = `Rekey keeps API keys young. Tools act on the keyring of the access key that you call with; you see those that its scopes allow.
Rotate with rotate_api_key; look first with dryRun. Anything that kills a value asks for a confirmation word. Values stay out of this conversation unless you pass reveal "inline".
Errors say in \`error.remedy\` what to do next, and in \`error.retryAt\` when; wait until then instead of trying again.`;
