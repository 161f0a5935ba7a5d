//! Who may ask about access, about whom, and what can be asked.

use harness::{Authenticator, on_both};
use serde_json::{Value, json};

use super::{about, explain, field, give, person, put, reading};

on_both! {
    async fn a_project_admin_asks_in_the_project_about_those_who_have_to_do_with_it(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, ops) = (acme.project("web").await, acme.project("ops").await);
        let [pat, quinn, ruth] = [t.person("pat").await, t.person("quinn").await, t.person("ruth").await];
        acme.grant(pat.id, Some(web.id), "admin").await;
        acme.grant(quinn.id, Some(ops.id), "owner").await;
        put(&acme.owner, &acme, about(&ruth, "deny", "web/production/K", &["secrets:read"])).await.expect(201).ok();
        let vera = acme.member("vera", "viewer").await;
        for known in [&acme.owner, &vera, &ruth, &pat] {
            explain(&pat, person(known), &reading("K")).await.expect(200).ok();
        }
        let hidden = explain(&pat, person(&quinn), &reading("K")).await;
        let nobody = explain(&pat, json!({ "type": "user", "id": "usr_00000000000000000000000000" }), &reading("K")).await;
        assert_eq!(hidden.json()["errors"], nobody.json()["errors"], "who is elsewhere is nobody here");
        assert_eq!(field(hidden), "subject.id");
        // The owner knows them all.
        let elsewhere = explain(&acme.owner, person(&quinn), &reading("K")).await.expect(200);
        assert_eq!((elsewhere.at("/reason"), elsewhere.at("/visible")), ("no_grant".into(), "false".into()));
        let everywhere = json!({ "permission": "members:read" });
        explain(&pat, Value::Null, &everywhere).await.problem(403, "forbidden");
        pat.get(&acme.path("/access/who-can?permission=members:read")).await.problem(403, "forbidden");
        pat.get(&acme.path("/access/who-can?permission=members:read&project=web")).await.expect(200).ok();
        for (by, project, env) in [(&pat, "ops", "production"), (&pat, "nothing", "production"), (&pat, "web", "nothing")] {
            let question = json!({ "permission": "envs:read", "project": project, "environment": env });
            explain(by, Value::Null, &question).await.problem(404, "not_found");
            let query = format!("/access/who-can?permission=envs:read&project={project}&environment={env}");
            by.get(&acme.path(&query)).await.problem(404, "not_found");
        }
        explain(&vera, Value::Null, &reading("K")).await.problem(403, "forbidden");
        explain(t.person("eve").await.client(), Value::Null, &reading("K")).await.problem(404, "not_found");
    }

    async fn people_of_elsewhere_are_nobody_whoever_they_are(t: TestApp) {
        let (acme, _) = (t.org("acme").await, t.org("globex").await);
        acme.project("web").await;
        let strangers = ["globex-owner@example.com", "nobody@example.com"];
        let by_address = strangers.map(|email| json!({ "type": "user", "email": email }));
        let said = async |subject: &Value| {
            let answer = explain(&acme.owner, subject.clone(), &reading("K")).await.problem(422, "invalid_field");
            answer.json()["errors"].clone()
        };
        assert_eq!(said(&by_address[0]).await, said(&by_address[1]).await);
        let (robin, dana) = (t.person("robin").await, acme.developer("dana").await);
        for subject in [person(&robin), json!({ "type": "service_account", "name": "robot" })] {
            said(&subject).await;
        }
        // A machine of a deleted project is gone with it.
        let old = acme.project("old").await;
        let bot = json!({ "name": "old-bot", "project": "old", "role": "viewer" });
        acme.owner.post(&acme.path("/service-accounts"), bot).await.expect(201).ok();
        let bot = json!({ "type": "service_account", "name": "old-bot" });
        explain(&acme.owner, bot.clone(), &reading("K")).await.expect(200).ok();
        acme.owner.delete(&old.path).await.expect(204).ok();
        said(&bot).await;
        t.sql("UPDATE user_emails SET verified_at = created_at WHERE canonical = 'dana@example.com'").await;
        let own = explain(&acme.owner, json!({ "type": "user", "email": "Dana@Example.com" }), &reading("K")).await.expect(200);
        assert_eq!((own.at("/subject/id"), own.at("/subject/email")), (dana.id.to_string(), dana.email.clone()));
        let app = json!({ "name": "mine", "level": "org", "audience": "app", "permissions": ["secrets:read"] });
        let app = acme.owner.post(&acme.path("/roles"), app).await.expect(201);
        give(&t, &acme, &robin, None, app.at("/id").parse().unwrap()).await;
        let member = explain(&acme.owner, person(&robin), &reading("K")).await.expect(200);
        assert_eq!((member.at("/reason"), member.at("/visible")), ("no_grant".into(), "false".into()));
    }

    async fn who_is_let_in_nowhere_is_refused_whatever_was_granted(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let accounts = acme.path("/service-accounts");
        let robot = acme.owner.post(&accounts, json!({ "name": "robot", "role": "admin" })).await.expect(201);
        let machine = json!({ "type": "service_account", "name": "robot" });
        let told = async |subject: Value| {
            let answer = explain(&acme.owner, subject, &reading("K")).await.expect(200);
            ["/allowed", "/subject_active", "/inactive_reason", "/reason"].map(|at| answer.at(at))
        };
        assert_eq!(told(machine.clone()).await, ["true", "true", "", "role"]);
        let account = format!("{accounts}/{}", robot.at("/id"));
        acme.owner.patch(&account, json!({ "enabled": false })).await.expect(200).ok();
        assert_eq!(told(machine).await, ["false", "false", "disabled", "role"]);
        t.anonymous().api_key(&robot.at("/key")).get(&env.keys()).await.problem(401, "unauthenticated");
        let admin = acme.member("alex", "admin").await;
        t.sql("UPDATE users SET disabled_at = 1 WHERE id = (SELECT user_id FROM user_emails WHERE canonical = 'alex@example.com')").await;
        assert_eq!(told(person(&admin)).await, ["false", "false", "disabled", "role"]);
        let (plain, second) = (acme.member("paula", "admin").await, acme.member("sara", "admin").await);
        for has_factor in [acme.owner.client(), second.client()] {
            Authenticator::enable(has_factor, &t.clock).await;
        }
        t.sql("UPDATE orgs SET require_mfa = TRUE WHERE slug = 'acme'").await;
        assert_eq!(told(person(&plain)).await, ["false", "false", "no_second_factor", "role"]);
        plain.get(&env.keys()).await.problem(403, "second_factor_required");
        assert_eq!(told(person(&second)).await, ["true", "true", "", "role"]);
        second.get(&env.keys()).await.expect(200).ok();
    }

    async fn what_is_no_question_is_refused_by_its_field(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        for (question, expected) in [
            (json!({ "permission": "secrets:explode" }), "permission"),
            (json!({ "permission": "secrets:read@prod" }), "permission"),
            (json!({ "permission": "secrets:read" }), "environment"),
            (json!({ "permission": "secrets:read", "project": "web" }), "environment"),
            (json!({ "permission": "secrets:read", "environment": "production" }), "project"),
            (json!({ "permission": "secrets:read", "project": "web", "key": "K" }), "environment"),
            (json!({ "permission": "secrets:read", "project": "web", "environment": "production", "key": "1" }), "key"),
            (json!({ "permission": "audit:read", "project": "web" }), "project"),
            (json!({ "permission": "members:invite", "project": "web", "environment": "production" }), "environment"),
            (json!({ "permission": "envs:read", "project": "web", "environment": "production", "key": "K" }), "key"),
            (json!({ "permission": "org:read", "subject": { "type": "role", "name": "viewer" } }), "subject.type"),
            (json!({ "permission": "org:read", "subject": { "type": "user" } }), "subject.email"),
            (json!({ "permission": "org:read", "subject": { "type": "user", "email": "nobody" } }), "subject.email"),
            (json!({ "permission": "org:read", "subject": { "type": "service_account" } }), "subject.name"),
            (json!({ "permission": "org:read", "what_if": {} }), "what_if.rule"),
        ] {
            assert_eq!(field(explain(&acme.owner, Value::Null, &question).await), expected, "{question}");
            if question.get("subject").or(question.get("what_if")).is_some() {
                continue;
            }
            let asked = question.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap()));
            let query = asked.collect::<Vec<_>>().join("&");
            assert_eq!(field(acme.owner.get(&acme.path(&format!("/access/who-can?{query}"))).await), expected, "{query}");
        }
        assert_eq!(field(acme.owner.get(&acme.path("/access/who-can")).await), "permission");
    }
}
