/** What an agent should know before it calls anything, and the guide that it may read. */

export const INSTRUCTIONS = `Rekey keeps API keys young. Tools act on the keyring of the access key that you call with; you see those that its scopes allow.
Rotate with rotate_api_key; look first with dryRun. rotate_api_key, revoke_api_key and report_compromised_key ask for a confirmation word. Values stay out of this conversation unless you pass reveal "inline".
Errors say in \`error.remedy\` what to do next, and in \`error.retryAt\` when; wait until then instead of trying again.`;

/** The resource \`rekey://guides/policy\`. */
export const POLICY_GUIDE = `# How a key rotates

A key has versions. One is \`current\`; after a rotation the one before is \`previous\` and still works until its grace ends; then it is revoked and seen dead.

| part of the policy | says | default |
| --- | --- | --- |
| \`maxAge\`, \`schedule\` | when the current version is replaced by itself | by hand only |
| \`grace\` | how long the old version works afterwards | 24h |
| \`maxGrace\` | how long at most, however often it is extended | 30d |
| \`revokeWhen\` | what has to be so before the old version goes | its time is over |
| \`cooldown\` | how long after a rotation by hand there is no other, and what a thief would want is held back | 60 min for access keys |
| \`onCompromise\` | what happens when the current version leaked | it is replaced, then revoked, without a grace |
| \`freezes\`, \`window\`, \`paused\` | when nothing begins; a leak is still acted on | always open |

## What becomes of the old value depends on the service

- Rekey ends it when its grace is over (keys that Rekey issued, and services that allow two keys): rollback_key goes back until then.
- The service ends it by itself, some hours after (LLM Conveyors): no way back, no extension.
- It dies the moment the new one is made (BitScale, A2A Market, Lightning Faucet, Log10x): no way back. Have a destination that receives the new value, or fetch it at once.

rotate_api_key with \`dryRun\` says which of these it is, and what stands in the way.

## Who may do what

An access key acts within its scopes. With the role \`agent\` it acts on its own key and those of its subject, with \`operator\` also on those that it made. After a rotation by hand the rotated access key reads, verifies, rotates and rolls back, and nothing else, until its cooldown is over.
`;
