// Stories of @supabase/auth-js, the official client, unchanged. Each fails by an exception.
// node stories.mjs STORY URL ANON_KEY SERVICE_KEY
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";

const require = createRequire(new URL("../npm/", import.meta.url));
const { AuthApiError, AuthClient, AuthRetryableFetchError, AuthWeakPasswordError } = require("@supabase/auth-js");

const [, , story, url, anonKey, serviceKey] = process.argv;
const password = "Correct-horse-9";
const otherPassword = "Battery-staple-8";

function client(key, more = {}) {
  const headers = { Authorization: `Bearer ${key}`, apikey: key };
  return new AuthClient({ url, headers, autoRefreshToken: false, persistSession: false, ...more });
}

function somebody(name = "ada") {
  return `${name}.${randomUUID()}@clients.example.com`;
}

async function good(reply) {
  const { data, error } = await reply;
  assert.equal(error, null);
  return data;
}

async function bad(reply, kind, status, code) {
  const { error } = await reply;
  assert.ok(error instanceof kind, `${error?.constructor.name}: ${error?.message}`);
  assert.deepEqual([error.status, error.code], [status, code]);
  return error;
}

async function signedUp(auth, email = somebody()) {
  return good(auth.signUp({ email, password, options: { data: { name: "Ada" } } }));
}

const stories = {
  async people() {
    const auth = client(anonKey);
    const email = somebody();
    const { user, session } = await signedUp(auth, email);
    assert.deepEqual([user.email, user.role, user.user_metadata.name], [email, "authenticated", "Ada"]);
    assert.equal((await good(auth.getUser())).user.id, user.id);
    const fresh = (await good(auth.refreshSession())).session;
    assert.notEqual(fresh.refresh_token, session.refresh_token);
    assert.equal(fresh.user.id, user.id);
    const changed = (await good(auth.updateUser({ password: otherPassword, data: { town: "London" } }))).user;
    assert.deepEqual([changed.user_metadata.name, changed.user_metadata.town], ["Ada", "London"]);
    await bad(auth.updateUser({ email: somebody("countess") }), AuthApiError, 422, "email_provider_disabled");
    await bad(auth.signInWithPassword({ email, password }), AuthApiError, 400, "invalid_credentials");
    assert.equal((await good(auth.signInWithPassword({ email, password: otherPassword }))).user.id, user.id);
  },

  async scopes() {
    for (const [scope, here, there] of [["local", false, true], ["others", true, false], ["global", false, false]]) {
      const email = somebody();
      await signedUp(client(anonKey), email);
      const people = [client(anonKey), client(anonKey)];
      const tokens = [];
      for (const each of people) {
        tokens.push((await good(each.signInWithPassword({ email, password }))).session.refresh_token);
      }
      await good(people[0].signOut({ scope }).then(({ error }) => ({ data: null, error })));
      for (const [place, lives] of [here, there].entries()) {
        const reply = client(anonKey).refreshSession({ refresh_token: tokens[place] });
        await (lives ? good(reply) : bad(reply, AuthApiError, 400, "refresh_token_not_found"));
      }
    }
  },

  async admin() {
    const { admin } = client(serviceKey);
    const [id, email, moved] = [randomUUID(), somebody(), somebody("countess")];
    const made = await good(
      admin.createUser({ id, email, password, email_confirm: true, app_metadata: { plan: "pro" } }),
    );
    assert.deepEqual([made.user.id, made.user.email, made.user.app_metadata.plan], [id, email, "pro"]);
    assert.equal((await good(admin.getUserById(id))).user.email, email);
    const page = await good(admin.listUsers({ page: 1, perPage: 1000 }));
    assert.ok(page.users.some((each) => each.id === id));
    assert.equal(page.aud, "authenticated");
    assert.ok(page.total >= 1);
    const change = { email: moved, password: otherPassword, user_metadata: { name: "Ada" } };
    const changed = (await good(admin.updateUserById(id, change))).user;
    assert.deepEqual([changed.email, changed.user_metadata.name], [moved, "Ada"]);
    await good(client(anonKey).signInWithPassword({ email: moved, password: otherPassword }));
    await good(admin.deleteUser(id));
    await bad(admin.getUserById(id), AuthApiError, 404, "user_not_found");
  },

  async errors() {
    const auth = client(anonKey);
    const email = somebody();
    await signedUp(auth, email);
    await bad(auth.signUp({ email, password }), AuthApiError, 422, "user_already_exists");
    await bad(client(serviceKey).admin.createUser({ email, password }), AuthApiError, 422, "email_exists");
    await bad(client(anonKey).admin.listUsers(), AuthApiError, 403, "not_admin");
    const weak = auth.signUp({ email: somebody(), password: "short" });
    assert.deepEqual((await bad(weak, AuthWeakPasswordError, 422, "weak_password")).reasons, ["length"]);
  },

  // A back office has a row, and wants a user of the same id for it, whoever clicks twice.
  async nextjs() {
    const { admin } = client(serviceKey);
    const row = { id: randomUUID(), email: somebody(), full_name: "Ada Lovelace" };
    const asked = {
      id: row.id,
      email: row.email,
      password,
      email_confirm: true,
      user_metadata: { full_name: row.full_name },
    };
    const clicks = await Promise.all([admin.createUser(asked), admin.createUser(asked)]);
    const made = clicks.filter(({ error }) => error === null);
    assert.equal(made.length, 1);
    assert.equal(made[0].data.user.id, row.id);
    await bad(clicks.find(({ error }) => error !== null), AuthApiError, 422, "email_exists");
    const { user } = await good(client(anonKey).signInWithPassword({ email: row.email, password }));
    assert.deepEqual([user.id, user.user_metadata.full_name], [row.id, row.full_name]);
  },

  // Ten accept one invitation at once: one gets in, the others learn why not, and nobody is left behind.
  async tanstack() {
    const { admin } = client(serviceKey);
    const invited = somebody("guest");
    const accept = async () => {
      const { data, error } = await admin.createUser({ email: invited, password, email_confirm: true });
      return error ? { refused: error.code, status: error.status } : { id: data.user.id };
    };
    const outcomes = await Promise.all(Array.from({ length: 10 }, accept));
    const accepted = outcomes.filter(({ id }) => id);
    assert.equal(accepted.length, 1);
    for (const { refused, status } of outcomes.filter(({ id }) => !id)) {
      assert.deepEqual([status, refused], [422, "email_exists"]);
    }
    const page = await good(admin.listUsers({ page: 1, perPage: 1000 }));
    assert.deepEqual(page.users.filter(({ email }) => email === invited).map(({ id }) => id), [accepted[0].id]);
    await good(admin.deleteUser(accepted[0].id));
    assert.ok((await accept()).id);
  },

  // The store goes away when "signed up" is printed; "busy" is printed at the client's first 503.
  async busy() {
    const answers = [];
    const auth = client(anonKey, {
      async fetch(...request) {
        const answer = await fetch(...request);
        answers.push(answer.status);
        if (answer.status === 503) {
          console.log("busy");
        }
        return answer;
      },
    });
    const email = somebody();
    const { session } = await signedUp(auth, email);
    console.log("signed up");
    await new Promise((resume) => process.stdin.once("data", resume));
    process.stdin.destroy();
    const error = await bad(auth.signInWithPassword({ email, password }), AuthRetryableFetchError, 503, undefined);
    assert.equal(error.name, "AuthRetryableFetchError");
    const fresh = (await good(auth.refreshSession({ refresh_token: session.refresh_token }))).session;
    assert.equal(fresh.user.email, email);
    assert.ok(answers.filter((status) => status === 503).length >= 2, `${answers}`);
    assert.equal(answers.at(-1), 200);
  },
};

await stories[story]();
console.log("done");
