//! One's own profile, and finding others.

use harness::people::PASSWORD;
use harness::{Answer, Person, on_both};
use serde_json::{Value, json};

use super::codes::verified;

async fn update(person: &Person, body: Value) -> Answer {
    person.patch("/v1/auth/me", body).await
}

async fn search(person: &Person, query: &str) -> Vec<String> {
    let found = person
        .get(&format!("/v1/users/search?{query}"))
        .await
        .expect(200)
        .json();
    let email = |user: &Value| user["email"].as_str().unwrap_or_default().to_owned();
    found["data"].as_array().into_iter().flatten().map(email).collect()
}

on_both! {
    async fn names_and_username_change(t: TestApp) {
        let dana = t.person("dana").await;
        let changed = update(&dana, json!({ "last_name": " Scully ", "username": "Dana.S" })).await.expect(200);
        assert_eq!((changed.at("/first_name"), changed.at("/last_name"), changed.at("/username")), ("dana".into(), "Scully".into(), "dana.s".into()));
        for name in ["dana.s", " DANA.S "] {
            let login = json!({ "email": name, "password": PASSWORD });
            t.anonymous().post("/v1/auth/login", login).await.expect(200).ok();
        }
        update(&dana, json!({ "username": "" })).await.expect(200).ok();
        assert!(dana.get("/v1/auth/me").await.expect(200).json().get("username").is_none());
        let login = json!({ "email": "dana.s", "password": PASSWORD });
        t.anonymous().post("/v1/auth/login", login).await.problem(401, "invalid_credentials");
    }

    async fn a_username_belongs_to_one(t: TestApp) {
        let (dana, eve) = (t.person("dana").await, t.person("eve").await);
        update(&dana, json!({ "username": "scully" })).await.expect(200).ok();
        let taken = update(&eve, json!({ "username": "SCULLY", "first_name": "Mallory" })).await.problem(409, "conflict");
        assert_eq!(taken.at("/field"), "username");
        assert_eq!(eve.get("/v1/auth/me").await.expect(200).at("/first_name"), "eve");
        update(&dana, json!({ "username": "scully" })).await.expect(200).ok();
    }

    async fn bad_names_are_named_and_nothing_changes(t: TestApp) {
        let dana = t.person("dana").await;
        for (field, value) in [
            ("username", "ab"), ("username", "eve@example.com"), ("username", "_dana"), ("username", "da na"),
            ("first_name", "a\nb"), ("last_name", &"x".repeat(101)),
        ] {
            let refused = update(&dana, json!({ field: value })).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{value}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.updated'").await, 0);
    }

    async fn strangers_are_found_by_their_whole_verified_address_alone(t: TestApp) {
        let (dana, eve) = (verified(&t, "dana").await, verified(&t, "evelyn").await);
        let hidden = t.person("evelina").await;
        assert_eq!(search(&dana, "q=EVELYN@example.com").await, [eve.email.as_str()]);
        for part in ["q=evel", "q=evelyn@example", "q=example.com", "q=%25%25", "q=__"] {
            assert_eq!(search(&dana, part).await, Vec::<String>::new(), "{part}");
        }
        assert_eq!(search(&dana, &format!("q={}", hidden.email)).await, Vec::<String>::new(), "a claim proves nothing");
        t.sql("UPDATE users SET disabled_at = 1 WHERE first_name = 'evelyn'").await;
        assert_eq!(search(&dana, "q=evelyn@example.com").await, Vec::<String>::new());
    }

    async fn who_is_found_by_one_of_their_addresses_does_not_give_the_others_away(t: TestApp) {
        let (dana, eve) = (verified(&t, "dana").await, t.proved_person("evelyn").await);
        eve.post("/v1/auth/emails", json!({ "email": "Eve@Example.org" })).await.expect(201).ok();
        assert_eq!(search(&dana, "q=eve@example.org").await, Vec::<String>::new(), "not proved yet");
        t.sql("UPDATE user_emails SET verified_at = 1 WHERE canonical = 'eve@example.org'").await;
        assert_eq!(search(&dana, "q=eve@example.org").await, ["Eve@Example.org"]);
        assert_eq!(search(&dana, "q=evelyn@example.com").await, ["evelyn@example.com"]);
    }

    async fn people_of_ones_organisations_are_found_by_a_part(t: TestApp) {
        let (acme, globex) = (t.org("acme").await, t.org("globex").await);
        let dev = acme.developer("mulder").await;
        let project = globex.project("web").await;
        let guest = t.person("guest").await;
        globex.grant(guest.id, Some(project.id), "viewer").await;
        globex.developer("mulligan").await;
        assert_eq!(search(&acme.owner, "q=MULD").await, [dev.email.as_str()]);
        assert_eq!(search(&acme.owner, "q=mul").await, [dev.email.as_str()], "nobody of an organisation that is not one's own");
        assert_eq!(search(&acme.owner, "q=mul&org=acme").await, [dev.email.as_str()]);
        assert_eq!(search(&acme.owner, "q=mulder@example.com&org=acme").await, [dev.email.as_str()]);
        for org in ["globex", "nowhere"] {
            let refused = acme.owner.get(&format!("/v1/users/search?q=mul&org={org}")).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "org");
        }
        // Somebody who is in one project sees nothing else of the organisation.
        assert_eq!(search(&guest, "q=mul").await, Vec::<String>::new());
        let short = acme.owner.get("/v1/users/search?q=m").await.problem(422, "invalid_field");
        assert_eq!(short.at("/errors/0/field"), "q");
        let token = acme.owner.token(json!({ "name": "ci" })).await;
        token.get("/v1/users/search?q=mul").await.problem(403, "session_required");
    }

    async fn ten_are_found_at_most(t: TestApp) {
        let acme = t.org("acme").await;
        for n in 0..12 {
            acme.developer(&format!("agent{n}")).await;
        }
        assert_eq!(search(&acme.owner, "q=agent").await.len(), 10);
    }
}
