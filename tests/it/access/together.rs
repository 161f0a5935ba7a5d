//! The credentials of requests that come at the same time are looked up together, and each caller is told its own.

use domain::crypto::token::{Token, TokenKind};
use domain::kernel::Rng;
use harness::{Client, on_both};
use serde_json::json;
use tokio::task::JoinSet;

/// How often everybody asks, all at once.
const ROUNDS: usize = 20;

/// What a caller asks for, and what must be where in the answer.
#[derive(Clone)]
struct Question {
    client: Client,
    path: String,
    pointer: &'static str,
    text: String,
}

impl Question {
    async fn ask(self) {
        let answer = self.client.get(&self.path).await;
        assert_eq!(answer.at(self.pointer), self.text, "{}: {}", self.path, answer.text());
    }
}

on_both! {
    async fn callers_at_the_same_time_are_each_who_they_are(t: TestApp) {
        let mut questions = Vec::new();
        let mut add = |client: &Client, path: &str, pointer: &'static str, text: &str| {
            questions.push(Question {
                client: client.clone(),
                path: path.to_owned(),
                pointer,
                text: text.to_owned(),
            });
        };
        for n in 0..6 {
            let person = t.person(&format!("dana{n}")).await;
            add(person.client(), "/v1/auth/me", "/id", &person.id.to_string());
        }
        for slug in ["acme", "zoo"] {
            let org = t.org(slug).await;
            let env = org.project("web").await.env("development");
            org.owner.put(&env.secret("A"), json!({ "value": slug })).await.expect(201).ok();
            add(org.owner.client(), &env.secrets(), "/data/0/value", slug);
        }
        let unknown = Token::generate(&Rng::system(), TokenKind::Personal).expect("a token");
        add(&t.anonymous().bearer(unknown.expose()), "/v1/auth/me", "/code", "unauthenticated");
        let mut asking = JoinSet::new();
        for question in questions.iter().cycle().take(questions.len() * ROUNDS) {
            asking.spawn(question.clone().ask());
        }
        while let Some(asked) = asking.join_next().await {
            asked.expect("the right answer");
        }
    }
}
