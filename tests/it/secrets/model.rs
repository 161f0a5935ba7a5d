//! Random histories of two environments against a model in memory: after every request the answer, the revision and
//! the versions are the model's, and so is, again and again, every revision that there ever was.
//!
//! A failure prints its seed and the requests that led to it. `STRONGROOM_TEST_SEED` plays one history again;
//! `STRONGROOM_TEST_HISTORIES` and `STRONGROOM_TEST_STEPS` make it more of them, or longer ones.

mod chance;
mod change;
mod check;
mod environment;
mod expected;
mod many;
mod one;
mod operation;

use std::time::Duration;

use harness::app::{Options, number_from_environment, run_for};
use harness::{Backend, Client, Person, Project, TestApp};
use serde_json::json;

use self::chance::Chance;
use self::change::Now;
use self::check::Reader;
use self::many::World;
use self::operation::{OfProject, Operation, Place};

const HISTORIES: u64 = 6;
const STEPS: u64 = 60;
/// Times that a history is read back as a whole.
const LOOKS: u64 = 3;

/// Somebody who may do everything.
pub struct Writer {
    client: Client,
    id: String,
    email: String,
}

/// What happened, told when the test fails.
struct Story {
    seed: u64,
    lines: Vec<String>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("STRONGROOM_TEST_SEED={}\n{}", self.seed, self.lines.join("\n"));
        }
    }
}

mod every_answer_and_every_revision_is_the_models {
    use harness::Backend;

    #[test]
    fn sqlite() {
        super::histories(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        super::histories(Backend::Postgres);
    }
}

fn histories(backend: Backend) {
    let steps = number_from_environment("STRONGROOM_TEST_STEPS").unwrap_or(STEPS);
    let seed = number_from_environment("STRONGROOM_TEST_SEED");
    let count = match seed {
        Some(_) => 1,
        None => number_from_environment("STRONGROOM_TEST_HISTORIES").unwrap_or(HISTORIES),
    };
    // Reading a history back takes longer the longer it is.
    let limit = Duration::from_mins(2) + Duration::from_millis(count * steps * (100 + steps));
    run_for(limit, async move {
        let options = Options::new(backend).stopped_clock();
        // Reads are not what this is about.
        let t = TestApp::start(options.with("STRONGROOM_AUDIT_READS", "off")).await;
        let acme = t.org("acme").await;
        let alex = acme.member("alex", "admin").await;
        let writers = [writer(&acme.owner).await, writer(&alex).await];
        // All of them now: the owner's session does not outlive long histories.
        let mut projects = Vec::new();
        for number in 0..count {
            projects.push(acme.project(&format!("history-{number}")).await);
        }
        for project in projects {
            let seed = seed.unwrap_or_else(rand::random);
            history(&t, project, &writers, seed, steps).await;
        }
    });
}

async fn writer(person: &Person) -> Writer {
    Writer {
        // It outlives long histories.
        client: person.token(json!({ "name": "model" })).await,
        id: person.id.to_string(),
        email: person.email.clone(),
    }
}

/// One history, in a project of its own.
async fn history(t: &TestApp, project: Project, writers: &[Writer; 2], seed: u64, steps: u64) {
    let place = Place {
        project,
        slugs: ["staging", "production"],
    };
    let reader = Reader {
        client: &writers[0].client,
        place: &place,
        writers,
    };
    let mut story = Story {
        seed,
        lines: Vec::new(),
    };
    let mut chance = Chance::new(seed);
    let (mut world, mut digest, mut step) = (World::default(), String::new(), 0);
    while step < steps {
        for operation in chance.operations(&world) {
            step += 1;
            t.advance(Duration::from_secs(1));
            let now = Now {
                at: t.clock.now(),
                by: chance.below(writers.len()),
            };
            let (expected, after) = world.predict(&operation, now);
            story.lines.push(format!("{step}: {operation:?}: {}", expected.status));
            let answer = operation.send(&place, &writers[now.by].client, &digest).await;
            expected.check(&answer);
            if matches!(operation, Operation::Project(OfProject::Plan(_))) && answer.status() == 200 {
                digest = answer.at("/digest");
            }
            world = after;
            reader.check_keys(&world).await;
            if step % steps.div_ceil(LOOKS) == 0 {
                reader.check(&world, &mut chance).await;
            }
        }
    }
    reader.check(&world, &mut chance).await;
    let verified = writers[0]
        .client
        .post(&format!("{}/verify", place.project.path), json!({}))
        .await;
    assert!(
        verified.status() == 200 && verified.json()["ok"] == true,
        "{}",
        verified.text()
    );
}
