"""Every difference between the real server and ours that we mean, with its reason. Nothing else may differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.gotrue.table import Meant, Off

_NO_MAIL: Final = ("email_provider_disabled", "Email logins are disabled")
_NO_TOKEN: Final = ("otp_expired", "Token has expired or is invalid")

OFF: Final[Mapping[str, Off]] = {
    "POST /recover": Off(400, *_NO_MAIL),
    "POST /resend": Off(400, *_NO_MAIL),
    "POST /otp": Off(422, *_NO_MAIL),
    "POST /magiclink": Off(422, *_NO_MAIL),
    "POST /invite": Off(422, *_NO_MAIL),
    "POST /admin/generate_link": Off(422, *_NO_MAIL),
    "GET /reauthenticate": Off(422, *_NO_MAIL),
    "GET /verify": Off(403, *_NO_TOKEN),
    "POST /verify": Off(403, *_NO_TOKEN),
}
"""What needs a mail, which nobody sends yet: answered as a server does where emails are switched off, or where there is
no such token. What the real server refuses before that (no JSON, no bearer, no administrator) is refused as there."""

_RACES: Final = (
    Meant(
        "Who lost a race is told what was lost. The real server's database fails, and 500 leaves it open.",
        at=[
            f"{name}/1"
            for name in ("signup.on.race", *(f"admin.create.race_{what}" for what in ("email", "id", "same")))
        ],
        what=["loser: status 500 → 422", "loser: code unexpected_failure → *_exists"],
    ),
    Meant(
        "The same without the version header, where the real server passes on what PostgreSQL says.",
        at=["signup.on.race/3", "admin.create.race_email/3", "admin.create.race_id/3", "admin.create.race_same/4"],
        what=["loser: status 500 → 422", "loser: code 23505 and unexpected_failure → *_exists", "loser: body.*"],
    ),
    Meant(
        "A taken id, and a taken email in an update, are told as such.",
        at=["admin.create.duplicate_id/4", "admin.update/13"],
        what=["status 500 → 422", "code unexpected_failure → *_exists"],
    ),
    Meant(
        "The same without the version header.",
        at=["admin.create.duplicate_id/5", "admin.update/14"],
        what=["status 500 → 422", "code 23505 and unexpected_failure → *_exists", "body.*"],
    ),
    Meant(
        "Until an email is confirmed each sign-up with it is given the same user: so are those that come at once.",
        at=["signup.off.race/1,3"],
        what=["losers 1 → 0"],
    ),
    Meant(
        "Of ten updates at once one confirms the email; to the others it was confirmed, and they say since when.",
        at=["admin.update.race/2"],
        what=["winner: body.confirmed_at added"],
    ),
)

_FAILURES: Final = (
    Meant(
        "Where the real server panics (73 bytes, no rows to a page), ours says what is wrong.",
        at=["admin.create.invalid/7-8", "admin.list.bad_page/13-14"],
        what=["status 500 → 400", "code unexpected_failure → validation_failed", "header x-sb-error-code added"],
    ),
    Meant(
        "Likewise of a hash of no known kind.",
        at=["admin.create.invalid/11-12"],
        what=["status 500 → 400", "code unexpected_failure → validation_failed"],
    ),
    Meant(
        "An error has no id of its own: the log has the request's.",
        at=["admin.create.invalid/12", "mail.refused/10"],
        what=["body.error_id missing"],
    ),
    Meant(
        "A page far behind the end is empty, where the real server's number overflows.",
        at=["admin.list.bad_page/15-16"],
        what=["status 500 → 200", "code unexpected_failure → None"],
    ),
)

_SECURITY: Final = (
    Meant(
        "No session without a password check: a sign-up does not take over whose email somebody else has entered.",
        at=["signup.on.existing_unconfirmed/2"],
        what=["status 200 → 422", "code None → user_already_exists"],
    ),
    Meant(
        "So that user stays unconfirmed, and the first password is good once an administrator has confirmed the email.",
        at=["signup.on.existing_unconfirmed/3"],
        what=["status 200 → 400", "code None → email_not_confirmed"],
    ),
    Meant(
        "As above.",
        at=["signup.on.existing_unconfirmed/5"],
        what=[
            *(f"body.{name} missing" for name in ("email_confirmed_at", "confirmed_at", "last_sign_in_at")),
            "body.user_metadata.email_verified missing",
        ],
    ),
    Meant(
        "A message repeats nothing that the caller sent, and does not say how a program in Go reads JSON.",
        at=[
            "signup.bad_password/7-8",
            "signup.bad_email/13",
            "signup.bad_body/1-4,9-10,14",
            "token.bad_request/11-12,14,16-17",
            "refresh.bad/8-10",
            "user.metadata/6-7,11-12",
            "admin.create.id_forms/5-6",
            "admin.create.invalid/15-22",
            "admin.delete/12-13",
            "invite.bad/10-11",
            "recover/7-8",
            "verify.post/20-21",
        ],
        what=["body.m*: Could not parse request body as JSON: * → Could not parse request body as JSON: *"],
    ),
    Meant(
        "The same of a scope, a token's parts, a duration, a page and a provider.",
        at=[
            "logout.bad/3-4",
            "user.bad_bearer/5-6",
            "admin.create.invalid/13-14",
            "admin.update/11-12",
            "admin.list.bad_page/1-10",
            "misc.switched_off/11-12,15-16",
        ],
        what=["body.m*: * → *"],
    ),
)

_SESSIONS: Final = (
    Meant(
        "Within the interval a spent token buys a token of its own, not the one that another has been given.",
        at=["refresh.reuse_within_interval/4"],
        what=["body.refresh_token: <refresh:2> → another"],
    ),
    Meant("So do ten at once.", at=["refresh.race/3"], what=["winner: body.refresh_token: <refresh:2> → another"]),
    Meant(
        "After the interval no spent token is forgiven, its parent neither: the session ends.",
        at=["refresh.reuse_grandparent_after_interval/5"],
        what=["status 200 → 400", "code None → refresh_token_already_used"],
    ),
    Meant(
        "And has ended, so what is asked of it then is not found.",
        at=["refresh.reuse_grandparent_after_interval/6-8"],
        what=["code refresh_token_already_used → refresh_token_not_found"],
    ),
    Meant(
        "With the session its access tokens end.",
        at=["refresh.reuse_grandparent_after_interval/9"],
        what=["status 200 → 403", "code None → session_not_found"],
    ),
    Meant(
        "A session that has just been revoked gives no new token: the real server takes it for lately used.",
        at=["refresh.family_revoked_but_young/6"],
        what=["status 200 → 400", "code None → refresh_token_not_found"],
    ),
    Meant("As above.", at=["refresh.family_revoked_but_young/7"], what=["not sent, for want of <refresh:4>"]),
)

_NO_PHONES: Final = (
    Meant(
        "Nobody signs up or in by phone.",
        at=["signup.phone/3,10", "admin.create.full/1"],
        what=["status 200 → 4*", "code None → phone_provider_disabled"],
    ),
    Meant(
        "Whatever else is wrong.",
        at=["signup.phone/1-2,11-12"],
        what=["code * → phone_provider_disabled"],
    ),
    Meant(
        "And whatever there would be.",
        at=["signup.phone/4-5,9"],
        what=["status * → 4*", "code * → phone_provider_disabled"],
    ),
    Meant(
        "So there is no such user.",
        at=["admin.create.full/2-3"],
        what=["status 200 → 404", "code None → user_not_found"],
    ),
    Meant(
        "Nobody wins a race for a phone.",
        at=["admin.create.race_phone/1-2"],
        what=["winners 1 → 0", "loser: status 500 → 422", "loser: code * → phone_provider_disabled"],
    ),
    Meant("As of the other races.", at=["admin.create.race_phone/2"], what=["loser: body.*"]),
)

_NOT_OFFERED: Final = (
    Meant(
        "No anonymous users: answered as where they are switched off.",
        at=["signup.anonymous/1"],
        what=["status 200 → 422", "code None → anonymous_provider_disabled"],
    ),
    Meant("So nobody has become one.", at=["signup.anonymous/2-6"], what=["not sent, for want of user:nobody"]),
    Meant("As above.", at=["signup.anonymous/7"], what=["status 200 → 400", "code None → invalid_credentials"]),
    Meant(
        "Passwords are hashed by Argon2 here; who has bcrypt's lets people set new ones.",
        at=["admin.create.password_hash/3"],
        what=["status 200 → 400", "code None → validation_failed"],
    ),
    Meant(
        "Users are deleted for good, whatever is asked: a deleted account leaves nothing behind.",
        at=["admin.delete.soft/3,7"],
        what=["status 200 → 422", "code None → feature_disabled"],
    ),
    Meant(
        "So the user is still there, and whole.",
        at=["admin.delete.soft/4"],
        what=["body.*"],
    ),
    Meant("As above.", at=["admin.delete.soft/5-6"], what=["status 40* → 200", "code * → None"]),
    Meant("As above.", at=["admin.delete.soft/8-9"], what=["status 500 → 422", "code * → email_exists"]),
    Meant("As above.", at=["admin.delete.soft/9"], what=["body.*"]),
    Meant("As above.", at=["admin.delete.soft/10"], what=["status 200 → 422", "code None → email_exists"]),
    Meant(
        "No second factors.",
        at=["user.factors/5"],
        what=["status 200 → 422", "code None → mfa_totp_enroll_not_enabled"],
    ),
    Meant("As above.", at=["user.factors/6-7"], what=["code mfa_* → mfa_totp_enroll_not_enabled"]),
    Meant("As above.", at=["user.factors/8-10,12-14"], what=["not sent, for want of <uuid:1>*"]),
    Meant("As above.", at=["user.factors/11"], what=["body: 1 entries → 0"]),
    Meant(
        "No linking of identities.",
        at=["misc.unlink/4-9"],
        what=["status 4* → 404", "code * → manual_linking_disabled"],
    ),
    Meant(
        "No audit log by this API: `semel` has its own events. And no OAuth server.",
        at=["admin.audit/1-3", "misc.public/6"],
        what=["status * → 404", "code * → feature_disabled"],
    ),
    Meant(
        "No provider to come back from, so nowhere to be sent to.",
        at=["misc.switched_off/29"],
        what=["status 303 → 400", "code None → bad_oauth_state"],
    ),
    Meant(
        "No key of SAML is configured, the next one neither.",
        at=["signup.closed/11", "misc.public/3-4", "misc.cors/7"],
        what=["body.saml_private_key_next_configured: True → False"],
    ),
)

_NO_MAILS: Final = (
    Meant(
        "A sign-up sends no mail, so it does not say when.",
        at=[
            "signup.off.new/1",
            "signup.off.existing_unconfirmed/1-2",
            "signup.off.race/1-4",
            "signup.pkce/1",
            "verify.expired/1",
            "resend/1",
            "mail.refused/14",
            "throttle.frequency/1",
            "throttle.quota/1",
            "invite.then_signup/2",
            "invite.on/2",
        ],
        what=["*body.*confirmation_sent_at missing"],
    ),
    Meant(
        "What only a mail tells, or somebody who followed it, nobody was told.",
        at=[
            "signup.off.new/5-6",
            "signup.off.existing_unconfirmed/3-4",
            "signup.pkce/2,5-9",
            "user.reauthenticate/6",
            "user.email_change.secure/5,7-8",
            "user.email_change.by_code/4-5",
            "user.email_change.single/4",
            "invite.new/3-4,6",
            "invite.again/3-7",
            "invite.then_signup/3-4",
            "invite.deleted/2-5",
            "invite.accept_race/2-3",
            "invite.on/3-4",
            "recover.race/3",
            "recover/10-11",
            "verify.expired/2-4",
            "verify.post/4-5,8-11,14-19,24-26",
            "verify.get/3,6",
            "otp/2,4",
            "otp.on/2",
            "link.signup/3",
            "link.invite/3",
            "link.email_change/5-6",
        ],
        what=["not sent, for want of *"],
    ),
    Meant(
        "So the email is not confirmed, until an administrator does it.",
        at=["signup.off.new/7", "signup.off.existing_unconfirmed/5"],
        what=["status 200 → 400", "code None → email_not_confirmed"],
    ),
    Meant(
        "And the new password or email is not set.",
        at=["user.email_change.secure/9", "invite.new/5", "recover/12"],
        what=["status 200 → 400", "code None → invalid_credentials"],
    ),
    Meant(
        "A user's own change of email waits for a mail, so it is refused: an administrator can make it.",
        at=["user.email_change.*/3", "mail.refused/9-10"],
        what=["status * → 422", "code * → email_provider_disabled"],
    ),
    Meant(
        "So none is pending.",
        at=["user.email_change.secure/4,6"],
        what=["body.new_email missing", "body.email_change_sent_at missing"],
    ),
    Meant(
        "And the old email is still good.",
        at=["user.email_change.secure/10"],
        what=["status 400 → 200", "code invalid_credentials → None"],
    ),
    Meant(
        "As above.",
        at=["user.email_change.single/5"],
        what=["body.email_change_sent_at missing", "body.email: *", "body.identities.0.*"],
    ),
    Meant(
        "Who was invited has not become a user by that, and signs up as anybody does.",
        at=["invite.then_signup/2"],
        what=["body.invited_at missing", "body.user_metadata.* added", "body.identities: 0 entries → 1"],
    ),
    Meant(
        "As above.",
        at=["invite.on/2"],
        what=[
            "body.user.invited_at missing",
            "body.user.user_metadata.* added",
            "body.user.identities.0.identity_data.email_verified: False → True",
            "body.access_token(jwt).claims.user_metadata.* added",
        ],
    ),
    Meant(
        "Nor is there anybody to be found.",
        at=["invite.race/2,4"],
        what=["header link: *", "header x-total-count: 1 → 0", "body.users: 1 entries → 0"],
    ),
    Meant(
        "No mail can be refused or too many, so sign-ups go through.",
        at=["mail.refused/3-4", "throttle.frequency/2-3", "throttle.quota/2-3"],
        what=["status * → 200", "code * → None"],
    ),
    Meant(
        "As above.",
        at=["mail.refused/11", "throttle.quota/4"],
        what=["header link: *", "header x-total-count: 0 → 1", "body.users: 0 entries → 1"],
    ),
    Meant(
        "What is off looks at no more than it must.",
        at=["invite.bad/9"],
        what=["status 400 → 422", "code bad_json → email_provider_disabled"],
    ),
)

_USERS: Final = (
    Meant(
        "An identity shows the account's email: there is no second one that could contradict it.",
        at=["admin.update/17"],
        what=["body.identities.0.identity_data.email: *", "body.identities.0.email: *"],
    ),
)

_CORS: Final = (
    Meant(
        "Which origins are let in says a setting; a preflight is answered with all that is allowed, for ten minutes.",
        at=["misc.cors/1-4"],
        what=["header access-control-allow-*", "header access-control-max-age added"],
    ),
    Meant(
        "No cookies, so no credentials.",
        at=["misc.cors/3-4,7-8"],
        what=["header access-control-allow-credentials missing"],
    ),
    Meant(
        "Pages may read the request's id and the time to wait as well.",
        at=["misc.cors/7-8"],
        what=["header access-control-expose-headers: *"],
    ),
    Meant(
        "A preflight without an origin is none: the path has no such method.",
        at=["misc.cors/6"],
        what=[
            "status 401 → 405",
            "code no_authorization → None",
            "header allow added",
            "header content-type missing",
            "header x-sb-error-code missing",
            "body: object → null",
        ],
    ),
)

DIFFERENCES: Final = (
    *_RACES,
    *_FAILURES,
    *_SECURITY,
    *_SESSIONS,
    *_NO_PHONES,
    *_NOT_OFFERED,
    *_NO_MAILS,
    *_USERS,
    *_CORS,
)
