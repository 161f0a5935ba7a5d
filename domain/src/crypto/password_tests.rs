use std::time::{Duration, Instant};

use super::*;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

const KEY: [u8; 32] = [7; 32];

fn passwords(costs: PasswordCosts, permits: usize) -> Passwords {
    Passwords::new(costs, Secret::new(KEY), permits)
}

fn cheap() -> Passwords {
    passwords(PasswordCosts::cheap_for_tests(), 2)
}

#[tokio::test]
async fn verifies_what_it_hashed_and_nothing_else() {
    let passwords = cheap();
    let phc = passwords.hash(secret("correct horse")).await.unwrap();
    assert!(phc.starts_with("k1$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
    assert_ne!(phc, passwords.hash(secret("correct horse")).await.unwrap());
    assert_eq!(
        passwords
            .verify(secret("correct horse"), Some(phc.clone()))
            .await
            .unwrap(),
        Verdict::Right
    );
    for wrong in ["", "correct horsE", "correct horse ", "correct horse\0"] {
        assert_eq!(
            passwords.verify(secret(wrong), Some(phc.clone())).await.unwrap(),
            Verdict::Wrong,
            "{wrong:?}"
        );
    }
}

#[tokio::test]
async fn composed_and_decomposed_letters_are_one_password() {
    let passwords = cheap();
    let phc = passwords.hash(secret("caf\u{e9} au lait")).await.unwrap();
    assert_eq!(
        passwords
            .verify(secret("cafe\u{301} au lait"), Some(phc))
            .await
            .unwrap(),
        Verdict::Right
    );
}

#[tokio::test]
async fn hashes_of_other_costs_are_right_but_outdated() {
    let phc = cheap().hash(secret("correct horse")).await.unwrap();
    let dearer = passwords(PasswordCosts::new(12_288, 3, 1).unwrap(), 1);
    assert_eq!(
        dearer.verify(secret("correct horse"), Some(phc.clone())).await.unwrap(),
        Verdict::RightButOutdated
    );
    assert_eq!(
        dearer.verify(secret("wrong horse"), Some(phc)).await.unwrap(),
        Verdict::Wrong
    );
}

// Of the reference implementation's test.c; argon2i must be taken over, too.
#[tokio::test]
async fn reads_hashes_of_the_reference_implementation() {
    let passwords = cheap();
    for phc in [
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        "$argon2i$v=19$m=65536,t=1,p=1$c29tZXNhbHQAAAAAAAAAAA$+r0d29hqEB0yasKr55ZgICsQGSkl0v0kgwhd+U3wyRo",
    ] {
        let verify = |text: &str| passwords.verify(secret(text), Some(phc.to_owned()));
        assert_eq!(verify("password").await.unwrap(), Verdict::RightButOutdated, "{phc}");
        assert_eq!(verify("sassword").await.unwrap(), Verdict::Wrong, "{phc}");
    }
}

#[tokio::test]
async fn a_broken_hash_is_our_fault_and_keeps_its_text_to_itself() {
    for phc in [
        "",
        "canary",
        "k1canary",
        "k2$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR",
        "$argon2id$v=19$m=64,t=1,p=1$canary",
        "$canary$v=19$m=64,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR",
    ] {
        let error = cheap()
            .verify(secret("correct horse"), Some(phc.to_owned()))
            .await
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
        assert_eq!(error.into_problem().code, ProblemCode::Internal);
    }
}

#[tokio::test]
async fn an_unknown_account_is_always_wrong() {
    let passwords = cheap();
    for text in ["", "correct horse"] {
        assert_eq!(passwords.verify(secret(text), None).await.unwrap(), Verdict::Wrong);
    }
}

#[tokio::test]
async fn without_the_instances_key_no_password_is_right() {
    let stored = cheap().hash(secret("correct horse")).await.unwrap();
    let bare = stored.strip_prefix(KEYED).unwrap().to_owned();
    let other = Passwords::new(PasswordCosts::cheap_for_tests(), Secret::new([8; 32]), 1);
    for (passwords, stored) in [(&cheap(), &bare), (&other, &stored), (&other, &bare)] {
        let verdict = passwords.verify(secret("correct horse"), Some(stored.clone())).await;
        assert_eq!(verdict.unwrap(), Verdict::Wrong, "{stored}");
    }
    // The key is Argon2's own, as the standard has it: others can check what we store, given the key.
    let hasher = Argon2::new_with_secret(&KEY, Algorithm::Argon2id, Version::V0x13, argon2::Params::DEFAULT).unwrap();
    let hash = PasswordHash::new(&bare).unwrap();
    assert!(hasher.verify_password(b"correct horse", &hash).is_ok());
}

// It must be a readable hash: one that is not would be answered at once, and with an error.
#[test]
fn the_decoy_is_a_hash_of_the_current_costs() {
    assert!(!matches(&secret("correct horse"), &decoy(PasswordCosts::cheap_for_tests()), &KEY).unwrap());
    assert!(decoy(PasswordCosts::default()).starts_with(&stored_prefix(PasswordCosts::default())));
}

#[tokio::test]
async fn an_unknown_account_takes_as_long_as_a_known_one() {
    let passwords = passwords(PasswordCosts::new(19_456, 2, 1).unwrap(), 1);
    let phc = passwords.hash(secret("correct horse")).await.unwrap();
    let mut fastest = [Duration::MAX; 2];
    // The fastest of several, taken in turns, and on a busy machine of many: another process can only make one slower,
    // while a shortcut would stay a thousand times faster however often it is tried.
    for round in 1..=50 {
        for (fastest, phc) in fastest.iter_mut().zip([Some(phc.clone()), None]) {
            let start = Instant::now();
            passwords.verify(secret("wrong horse"), phc).await.unwrap();
            *fastest = start.elapsed().min(*fastest);
        }
        let ratio = fastest[1].as_secs_f64() / fastest[0].as_secs_f64();
        if round >= 3 && (0.5..2.0).contains(&ratio) {
            return;
        }
    }
    panic!("unknown {:?}, known {:?}", fastest[1], fastest[0]);
}

#[tokio::test]
async fn no_more_run_at_once_than_permits_allow() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let passwords = cheap();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move {
                let job = || {
                    MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(10));
                    RUNNING.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                passwords.run(job).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_request_that_goes_away_keeps_its_permit_until_the_hash_ends() {
    let passwords = passwords(PasswordCosts::cheap_for_tests(), 1);
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (finish, may_finish) = std::sync::mpsc::channel::<()>();
    let request = tokio::spawn({
        let passwords = passwords.clone();
        async move {
            let job = move || {
                started.send(()).ok();
                may_finish.recv().ok();
                Ok(())
            };
            passwords.run(job).await
        }
    });
    has_started.await.unwrap();
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    assert_eq!(passwords.permits.available_permits(), 0);
    finish.send(()).unwrap();
    passwords.hash(secret("correct horse")).await.unwrap();
}

#[tokio::test]
async fn whoever_comes_when_many_wait_is_told_to_come_back() {
    let passwords = passwords(PasswordCosts::cheap_for_tests(), 1);
    let _busy = passwords.permits.acquire().await.unwrap();
    let mut waiting: Vec<_> = (0..=WAITING)
        .map(|_| Box::pin(passwords.verify(secret("correct horse"), None)))
        .collect();
    for one in &mut waiting {
        assert!(futures_util::poll!(one).is_pending());
    }
    let refused = passwords
        .verify(secret("correct horse"), None)
        .await
        .unwrap_err()
        .into_problem();
    assert_eq!(
        (refused.code, &refused.extra["retry_after"]),
        (ProblemCode::Unavailable, &2.into())
    );
    // Room is given back by those that go away, too.
    waiting.pop();
    let mut next = Box::pin(passwords.verify(secret("correct horse"), None));
    assert!(futures_util::poll!(&mut next).is_pending());
}

#[test]
fn zero_permits_would_wait_for_ever() {
    assert_eq!(passwords(PasswordCosts::default(), 0).permits.available_permits(), 1);
    assert!(default_permits() > 0);
}

#[test]
fn weak_short_and_long_passwords_are_refused() {
    let reason = |password: &str, inputs: &[&str]| {
        let problem = check_strength(&secret(password), inputs)
            .err()
            .map(Error::into_problem)?;
        assert_eq!(
            (problem.code, problem.errors[0].field.as_ref()),
            (ProblemCode::InvalidField, "password")
        );
        let repeated = !password.is_empty() && problem.errors[0].message.contains(password);
        assert!(!repeated || password == "password", "the message repeats {password}");
        Some(problem.errors[0].reason.clone().into_owned())
    };
    assert_eq!(reason("", &[]).as_deref(), Some("too_short"));
    assert_eq!(reason("x7#Kq2!", &[]).as_deref(), Some("too_short"));
    assert_eq!(reason(&"x7#Kq2!p".repeat(129), &[]).as_deref(), Some("too_long"));
    for weak in [
        "password",
        "Password1!",
        "qwertyuiop",
        "aaaaaaaaaaaaaaaa",
        "2026-11-22",
        "strongroom1",
        "x7#Kq2!p",
    ] {
        assert_eq!(reason(weak, &[]).as_deref(), Some("too_weak"), "{weak}");
    }
    for strong in ["tidal-gecko-93-lantern", "x7#Kq2!pV", "наковальня и дождь 7"] {
        assert_eq!(reason(strong, &[]), None, "{strong}");
    }
    assert_eq!(reason(&"tidal-gecko-93-lantern ".repeat(44), &[]), None, "1012 bytes");
}

#[test]
fn the_persons_own_words_make_a_password_weak() {
    let password = secret("zyxanderholm");
    assert!(check_strength(&password, &[]).is_ok());
    assert!(check_strength(&password, &["zyxanderholm@example.com"]).is_err());
    assert!(check_strength(&password, &["dana@example.com", "Dana", "a"]).is_ok());
}
