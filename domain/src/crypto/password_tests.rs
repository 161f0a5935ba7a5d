use std::time::{Duration, Instant};

use super::*;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

const KEY: [u8; 32] = [7; 32];

fn passwords(costs: PasswordCosts, permits: usize) -> Passwords {
    Passwords::new(costs, Secret::new(KEY), permits)
}

async fn verify(passwords: &Passwords, password: Secret<String>, stored: Option<String>) -> Result<Verdict> {
    passwords.verify(passwords.place()?, password, stored).await
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
        verify(&passwords, secret("correct horse"), Some(phc.clone()))
            .await
            .unwrap(),
        Verdict::Right
    );
    for wrong in ["", "correct horsE", "correct horse ", "correct horse\0"] {
        assert_eq!(
            verify(&passwords, secret(wrong), Some(phc.clone())).await.unwrap(),
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
        verify(&passwords, secret("cafe\u{301} au lait"), Some(phc))
            .await
            .unwrap(),
        Verdict::Right
    );
}

#[tokio::test]
async fn hashes_of_other_costs_are_right_but_outdated() {
    let phc = cheap().hash(secret("correct horse")).await.unwrap();
    let dearer = passwords(PasswordCosts::new(12_288, 3, 1).unwrap(), 1);
    let Verdict::RightButOutdated(anew) = verify(&dearer, secret("correct horse"), Some(phc.clone()))
        .await
        .unwrap()
    else {
        panic!("it is the password, and of other costs");
    };
    assert_eq!(
        verify(&dearer, secret("correct horse"), Some(anew)).await.unwrap(),
        Verdict::Right
    );
    assert_eq!(
        verify(&dearer, secret("wrong horse"), Some(phc)).await.unwrap(),
        Verdict::Wrong
    );
}

#[test]
fn costs_are_told_from_what_is_stored() {
    let costs = PasswordCosts::new(12_288, 3, 1).unwrap();
    let stored = decoy(costs);
    let (prefix, _) = stored.split_at(stored.len() - STORED_BEHIND_COSTS);
    assert_eq!(costs_of(prefix), Some(costs));
    for other in [
        "",
        "k1$",
        "$argon2id$v=19$m=12288,t=3,p=1$",
        "k1$argon2id$v=19$m=64,t=1,p=1$",
        "k1$argon2i$v=19$m=12288,t=3,p=1$",
    ] {
        assert_eq!(costs_of(other), None, "{other}");
    }
}

#[tokio::test]
async fn what_is_wrong_takes_one_hash_of_each_costs_that_are_stored() {
    let [today, before] =
        [(12_288, 3), (47_104, 2)].map(|(memory, passes)| PasswordCosts::new(memory, passes, 1).unwrap());
    let passwords = passwords(today, 1);
    assert!(!passwords.know_former([today]));
    assert!(passwords.know_former([before, today, before, before]));
    let mut fastest = [Duration::MAX; 3];
    for round in 1..=50 {
        for (fastest, stored) in fastest.iter_mut().zip([None, Some(decoy(today)), Some(decoy(before))]) {
            let start = Instant::now();
            assert_eq!(
                verify(&passwords, secret("wrong horse"), stored).await.unwrap(),
                Verdict::Wrong
            );
            *fastest = start.elapsed().min(*fastest);
        }
        let (least, most) = (fastest.iter().min().unwrap(), fastest.iter().max().unwrap());
        // One hash of today's takes a third of one of before.
        if round >= 3 && most.as_secs_f64() < least.as_secs_f64() * 1.2 {
            return;
        }
    }
    panic!("unknown, stored today, stored before: {fastest:?}");
}

#[tokio::test]
async fn reads_hashes_of_the_reference_implementation() {
    let passwords = cheap();
    for phc in [
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        "$argon2i$v=19$m=65536,t=1,p=1$c29tZXNhbHQAAAAAAAAAAA$+r0d29hqEB0yasKr55ZgICsQGSkl0v0kgwhd+U3wyRo",
    ] {
        let verdict = |text: &str| verify(&passwords, secret(text), Some(phc.to_owned()));
        let right = verdict("password").await.unwrap();
        assert!(matches!(right, Verdict::RightButOutdated(_)), "{phc}");
        assert_eq!(verdict("sassword").await.unwrap(), Verdict::Wrong, "{phc}");
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
        let verdict = verify(&cheap(), secret("correct horse"), Some(phc.to_owned())).await;
        let error = verdict.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
        assert_eq!(error.into_problem().code, ProblemCode::Internal);
    }
}

#[tokio::test]
async fn an_unknown_account_is_always_wrong() {
    let passwords = cheap();
    for text in ["", "correct horse"] {
        assert_eq!(verify(&passwords, secret(text), None).await.unwrap(), Verdict::Wrong);
    }
}

#[tokio::test]
async fn without_the_instances_key_no_password_is_right() {
    let stored = cheap().hash(secret("correct horse")).await.unwrap();
    let bare = stored.strip_prefix(KEYED).unwrap().to_owned();
    let other = Passwords::new(PasswordCosts::cheap_for_tests(), Secret::new([8; 32]), 1);
    for (passwords, stored) in [(&cheap(), &bare), (&other, &stored), (&other, &bare)] {
        let verdict = verify(passwords, secret("correct horse"), Some(stored.clone())).await;
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
            verify(&passwords, secret("wrong horse"), phc).await.unwrap();
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
                passwords.run(passwords.place()?, job).await
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
            passwords.run(passwords.place()?, job).await
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
        .map(|_| Box::pin(verify(&passwords, secret("correct horse"), None)))
        .collect();
    for one in &mut waiting {
        assert!(futures_util::poll!(one).is_pending());
    }
    for refused in [
        verify(&passwords, secret("correct horse"), None).await.map(|_| ()),
        passwords.hash(secret("correct horse")).await.map(|_| ()),
    ] {
        let refused = refused.unwrap_err().into_problem();
        assert_eq!(
            (refused.code, &refused.extra["retry_after"]),
            (ProblemCode::RateLimited, &CROWDED.into())
        );
    }
    // A place is given back by those that go away, too.
    waiting.pop();
    let mut next = Box::pin(verify(&passwords, secret("correct horse"), None));
    assert!(futures_util::poll!(&mut next).is_pending());
}

#[test]
fn the_dearer_a_hash_the_fewer_may_wait() {
    let waiting = |memory, passes| waiting(PasswordCosts::new(memory, passes, 1).unwrap());
    assert_eq!(
        (waiting(19_456, 2), waiting(12_288, 3), waiting(65_536, 3)),
        (128, 128, 25)
    );
    assert_eq!(waiting(1_048_576, 100), 4);
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
