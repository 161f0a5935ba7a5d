//! Tests of the whole of it: environment and files in, typed configuration or mistakes out.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::*;

const KEY: &str = "cm9vdC1rZXktcm9vdC1rZXktcm9vdC1rZXktcm9vdC0=";

fn load(env: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let env: Vec<_> = env
        .iter()
        .map(|(name, text)| (format!("STRONGROOM_{name}"), (*text).to_owned()))
        .collect();
    let files: HashMap<_, _> = files.iter().copied().collect();
    Config::load(env.into_iter(), |path: &Path| {
        let text = path.to_str().and_then(|path| files.get(path));
        text.map(|text| (*text).to_owned())
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    })
}

fn good(env: &[(&str, &str)]) -> Config {
    load(env, &[]).map_err(|errors| errors.to_string()).ok().unwrap()
}

fn errors(env: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<String> {
    let errors = load(env, files).err().expect("the configuration is wrong");
    errors.0.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_set_gives_the_embedded_server() {
    let config = good(&[]);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.base_url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(config.worker, WorkerMode::Embedded);
    assert_eq!(config.database.url().expose(), "sqlite://./data/strongroom.db?mode=rwc");
    assert!(config.redis.is_none() && config.root_key.is_none() && config.smtp.is_none());
    assert_eq!(config.mail_from.to_string(), "Strongroom <noreply@localhost>");
    assert!(config.trusted_proxies.is_empty() && config.egress_allow.is_empty());
    assert_eq!(config.registration, Registration::Open);
    assert!((config.rate_limit_scale - 1.0).abs() < f64::EPSILON);
    assert_eq!(config.password_hash, PasswordCosts::default());
    assert_eq!(config.audit_reads, AuditReads::Durable);
    assert_eq!((config.metrics_listen, config.drain_delay.as_secs()), (None, 5));
    assert!(config.otlp_endpoint.is_none() && config.otlp_headers.is_empty());
    assert!((config.trace_ratio - 1.0).abs() < f64::EPSILON);
    assert_eq!(config.trace_callers, TraceCallers::Trusted);
    assert_eq!(config.log, "info,sea_orm_migration=warn");
    assert_eq!(config.log_format, LogFormat::Pretty);
    assert_eq!(config.migrate, MigrateMode::Auto);
}

#[test]
fn every_setting_can_be_set() {
    let config = good(&[
        ("LISTEN", "0.0.0.0:9000"),
        ("DATA_DIR", "/var/lib/strongroom"),
        ("DATABASE_URL", "postgres://acme:pw@db/strongroom"),
        ("REDIS_URL", "redis://:pw@redis:6379"),
        ("WORKER", "embedded"),
        ("ROOT_KEY", KEY),
        ("BASE_URL", "https://secrets.example.com"),
        ("SMTP_URL", "smtps://acme:pw@mail.example.com"),
        ("MAIL_FROM", "Acme <secrets@example.com>"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7"),
        ("EGRESS_ALLOW", "fd00::/8"),
        ("REGISTRATION", "closed"),
        ("ADMIN_EMAIL", "Dana@example.com"),
        ("ADMIN_PASSWORD", "correct horse"),
        ("STRIPE_SECRET_KEY", "rk_live_key"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_new, whsec_old"),
        ("STRIPE_API_BASE", "https://stripe.example.com"),
        ("PASSWORD_HASH", "m=65536,t=3,p=1"),
        ("AUDIT_READS", "buffered"),
        ("METRICS_LISTEN", "127.0.0.1:9464"),
        ("OTLP_ENDPOINT", "https://otlp.example.com/acme"),
        ("OTLP_HEADERS", "Authorization=Bearer%20a=b, x-team = web"),
        ("TRACE_RATIO", "0.25"),
        ("TRACE_CALLERS", "any"),
        ("DRAIN_DELAY", "0"),
        ("LOG", "debug"),
        ("LOG_FORMAT", "json"),
        ("MIGRATE", "manual"),
    ]);
    assert_eq!(config.listen.port(), 9000);
    assert_eq!(config.database.url().expose(), "postgres://acme:pw@db/strongroom");
    assert!(!config.database.is_sqlite());
    assert_eq!(config.redis.as_ref().unwrap().expose(), "redis://:pw@redis:6379");
    assert_eq!(config.worker, WorkerMode::Embedded);
    assert_eq!(config.root_key.as_ref().unwrap().expose(), KEY);
    assert_eq!(config.base_url.as_str(), "https://secrets.example.com/");
    assert_eq!(
        config.smtp.as_ref().unwrap().expose(),
        "smtps://acme:pw@mail.example.com"
    );
    assert_eq!(config.mail_from.to_string(), "Acme <secrets@example.com>");
    assert_eq!(list(&config.trusted_proxies), "10.0.0.0/8,192.0.2.7/32");
    assert_eq!(list(&config.egress_allow), "fd00::/8");
    assert_eq!(config.registration, Registration::Closed);
    assert_eq!(config.admin_email.as_deref(), Some("Dana@example.com"));
    assert_eq!(config.admin_password.as_ref().unwrap().expose(), "correct horse");
    assert_eq!(config.stripe_secret_key.as_ref().unwrap().expose(), "rk_live_key");
    let secrets: Vec<_> = config.stripe_webhook_secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, ["whsec_new", "whsec_old"]);
    assert_eq!(
        config.stripe_api_base.as_ref().unwrap().as_str(),
        "https://stripe.example.com/"
    );
    assert_eq!(config.password_hash.to_string(), "m=65536,t=3,p=1");
    assert_eq!(config.audit_reads, AuditReads::Buffered);
    assert_eq!(config.metrics_listen.map(|address| address.port()), Some(9464));
    let collector = config.otlp_endpoint.as_ref().map(Url::as_str);
    assert_eq!(collector, Some("https://otlp.example.com/acme"));
    let headers = config.otlp_headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.expose().as_str()))
        .collect();
    assert_eq!(headers, [("authorization", "Bearer a=b"), ("x-team", "web")]);
    assert!((config.trace_ratio - 0.25).abs() < f64::EPSILON);
    assert_eq!(config.trace_callers, TraceCallers::Any);
    assert!(config.drain_delay.is_zero());
    assert_eq!(config.log, "debug");
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.migrate, MigrateMode::Manual);
}

#[test]
fn defaults_parse() {
    let mut reader = Reader {
        sources: Sources::collect(std::iter::empty(), &|_| Ok(String::new())),
    };
    assert!(reader.assemble().is_some());
    assert!(reader.sources.errors.0.is_empty());
}

#[test]
fn environment_beats_file_beats_default() {
    let toml = "listen = \"127.0.0.1:1\"\nlog = \"warn\"\ntrusted_proxies = [\"10.0.0.1\", \"10.0.0.2\"]\n";
    let config = load(
        &[("CONFIG", "acme.toml"), ("LISTEN", "127.0.0.1:2")],
        &[("acme.toml", toml)],
    )
    .ok()
    .unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.log, "warn");
    assert_eq!(config.log_format, LogFormat::Pretty);
    assert_eq!(config.trusted_proxies.len(), 2);
    let source = |setting| {
        config
            .describe()
            .into_iter()
            .find(|line| line.setting == setting)
            .unwrap()
            .source
    };
    assert_eq!(source(Setting::Listen), Source::Environment);
    assert_eq!(source(Setting::Log), Source::Toml("acme.toml".into()));
    assert_eq!(source(Setting::LogFormat), Source::Default);
}

#[test]
fn secret_files_lose_one_newline_only() {
    for (content, expected) in [
        ("key\n", "key"),
        ("key\r\n", "key"),
        ("key\n\n", "key\n"),
        (" key", " key"),
        ("k\r", "k\r"),
    ] {
        let config = load(&[("ROOT_KEY_FILE", "/run/root_key")], &[("/run/root_key", content)])
            .ok()
            .unwrap();
        assert_eq!(config.root_key.as_ref().unwrap().expose(), expected);
        let line = config
            .describe()
            .into_iter()
            .find(|line| line.setting == Setting::RootKey)
            .unwrap();
        assert_eq!(line.source, Source::SecretFile("/run/root_key".into()));
    }
}

#[test]
fn secret_file_in_toml_and_environment_over_it() {
    let files = [
        ("acme.toml", "root_key_file = \"/run/root_key\""),
        ("/run/root_key", "from-file\n"),
    ];
    let config = load(&[("CONFIG", "acme.toml")], &files).ok().unwrap();
    assert_eq!(config.root_key.as_ref().unwrap().expose(), "from-file");
    let config = load(&[("CONFIG", "acme.toml"), ("ROOT_KEY", KEY)], &files)
        .ok()
        .unwrap();
    assert_eq!(config.root_key.as_ref().unwrap().expose(), KEY);
}

#[test]
fn secret_and_its_file_together_are_refused() {
    let found = errors(&[("ROOT_KEY", KEY), ("ROOT_KEY_FILE", "k")], &[("k", KEY)]);
    assert_eq!(
        found,
        ["STRONGROOM_ROOT_KEY: is set together with STRONGROOM_ROOT_KEY_FILE; keep one"]
    );
    let toml = "root_key = \"a\"\nroot_key_file = \"k\"";
    assert_eq!(errors(&[("CONFIG", "c")], &[("c", toml), ("k", KEY)]).len(), 1);
}

#[test]
fn empty_or_missing_secret_file_is_refused_and_not_taken_for_unset() {
    assert_eq!(
        errors(&[("ROOT_KEY_FILE", "k")], &[("k", "\n")]),
        ["STRONGROOM_ROOT_KEY_FILE: the file is empty"]
    );
    let found = errors(&[("DATABASE_URL_FILE", "gone")], &[]);
    assert_eq!(
        found,
        ["STRONGROOM_DATABASE_URL_FILE: cannot read the file: entity not found"]
    );
}

#[test]
fn empty_variable_counts_as_unset() {
    let config = good(&[("REDIS_URL", ""), ("LISTEN", "")]);
    assert!(config.redis.is_none());
    assert_eq!(config.listen.port(), 8080);
}

#[test]
fn unknown_names_are_refused_with_a_proposal() {
    let cases = [
        ("LISTN", "did you mean STRONGROOM_LISTEN?"),
        ("DATABASE", "did you mean STRONGROOM_DATABASE_URL?"),
        ("ROOTKEY_FILE", "did you mean STRONGROOM_ROOT_KEY_FILE?"),
        ("LISTEN_FILE", "did you mean STRONGROOM_LISTEN?"),
        ("ZZZ", "STRONGROOM_ZZZ: is no setting"),
    ];
    for (name, expected) in cases {
        let found = errors(&[(name, "x")], &[]);
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with(expected), "{found:?}");
    }
    let found = errors(
        &[("CONFIG", "c")],
        &[("c", "databse_url = \"x\"\nLOG = \"x\"\nconfig = \"c\"\nlisten = 1")],
    );
    let expected = [
        "LOG in c: is no setting; did you mean log?",
        "config in c: cannot be set in the file itself",
        "databse_url in c: is no setting; did you mean database_url?",
        "listen in c: must be a string or a list of strings",
    ];
    let mut sorted = found;
    sorted.sort();
    assert_eq!(sorted, expected);
}

#[test]
fn variables_of_others_are_left_alone() {
    let links = [
        ("SERVICE_HOST", "10.1.2.3"),
        ("SERVICE_PORT_HTTP", "80"),
        ("PORT", "tcp://10.1.2.3:80"),
        ("PORT_80_TCP_ADDR", "10.1.2.3"),
        ("API_SERVICE_PORT", "80"),
        ("TEST_POSTGRES_URL", "postgres://x"),
    ];
    assert_eq!(good(&links).listen.port(), 8080);
    assert_eq!(errors(&[("PORT", "80")], &[]).len(), 1);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let env = [
        ("LISTEN", "localhost"),
        ("DATABASE_URL", "mysql://x"),
        ("REDIS_URL", "http://x"),
        ("WORKER", "both"),
        ("BASE_URL", "https://example.com/path"),
        ("SMTP_URL", "mail.example.com"),
        ("MAIL_FROM", "nobody"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
        ("EGRESS_ALLOW", "10.0.0.0/33"),
        ("REGISTRATION", "friends"),
        ("AUDIT_READS", "yes"),
        ("METRICS_LISTEN", "9464"),
        ("OTLP_ENDPOINT", "collector:4317"),
        ("OTLP_HEADERS", "authorization"),
        ("TRACE_RATIO", "1.1"),
        ("TRACE_CALLERS", "all"),
        ("DRAIN_DELAY", "-1"),
        ("LOG_FORMAT", "xml"),
        ("MIGRATE", "never"),
        ("NONSENSE", "1"),
        ("CONFIG", "gone.toml"),
    ];
    let found = errors(&env, &[]);
    for (name, _) in env {
        let prefix = format!("STRONGROOM_{name}: ");
        assert_eq!(
            found.iter().filter(|error| error.starts_with(&prefix)).count(),
            1,
            "{name}: {found:?}"
        );
    }
    assert_eq!(found.len(), env.len());
    let text = load(&env, &[]).err().unwrap().to_string();
    assert_eq!(text.lines().count(), env.len() + 1);
}

#[test]
fn no_message_and_no_description_shows_a_secret() {
    const CANARY: &str = "hunter2canary";
    let bad = format!("nonsense {CANARY}");
    for setting in Setting::ALL {
        let name = setting.variable().trim_start_matches("STRONGROOM_");
        let outcome = load(&[(name, &bad)], &[]);
        let text = outcome.map_or_else(|errors| errors.to_string(), |_| String::new());
        assert!(*setting == Setting::Config || !text.contains(CANARY), "{text}");
    }
    let broken = format!("listen = \"127.0.0.1:1\"\nroot_key = {CANARY}");
    let found = errors(&[("CONFIG", "c")], &[("c", &broken)]);
    assert_eq!(found, ["STRONGROOM_CONFIG: c is not valid TOML at line 2"]);
    let config = good(&[
        ("DATABASE_URL", "postgres://acme:hunter2canary@db/x"),
        ("REDIS_URL", "redis://:hunter2canary@redis"),
        ("ROOT_KEY", CANARY),
        ("SMTP_URL", "smtp://acme:hunter2canary@mail.example.com"),
        ("STRIPE_SECRET_KEY", "sk_test_hunter2canary"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2canary"),
        ("OTLP_HEADERS", "authorization=hunter2canary"),
        ("BACKUP_S3_BUCKET", "backups"),
        ("BACKUP_S3_ACCESS_KEY", CANARY),
        ("BACKUP_S3_SECRET_KEY", CANARY),
        ("BACKUP_KEY", CANARY),
    ]);
    assert_eq!(config.describe().len(), Setting::ALL.len());
    assert!(!format!("{:?}", config.describe()).contains(CANARY));
}

#[test]
fn a_key_of_the_live_mode_goes_to_https_only() {
    let plain = ("STRIPE_API_BASE", "http://127.0.0.1:8420");
    for (key, mistakes) in [
        ("sk_test_1", 0),
        ("rk_test_1", 0),
        ("sk_live_1", 1),
        ("rk_live_1", 1),
        ("pk_test_1", 1),
    ] {
        let outcome = load(&[("STRIPE_SECRET_KEY", key), plain], &[]);
        assert_eq!(outcome.map_or_else(|errors| errors.0.len(), |_| 0), mistakes, "{key}");
    }
    assert!(
        good(&[plain]).stripe_secret_key.is_none(),
        "nothing is sent without a key"
    );
    assert_eq!(errors(&[("STRIPE_WEBHOOK_SECRET", "whsec_a,secret")], &[]).len(), 1);
    assert!(good(&[]).stripe_webhook_secrets.is_empty());
}

/// A bucket with all that goes with it.
const BUCKET: [(&str, &str); 4] = [
    ("BACKUP_S3_BUCKET", "acme-backups"),
    ("BACKUP_S3_ACCESS_KEY", "AKIDEXAMPLE"),
    ("BACKUP_S3_SECRET_KEY", "s3cr3t/+key"),
    ("BACKUP_KEY", KEY),
];

#[test]
fn a_bucket_at_amazon_takes_four_settings() {
    let bucket = good(&BUCKET).backup_s3.bucket().unwrap();
    assert_eq!(bucket.name, "acme-backups");
    assert_eq!(bucket.endpoint.as_str(), "https://s3.us-east-1.amazonaws.com/");
    assert_eq!((bucket.region.as_str(), bucket.prefix.as_str()), ("us-east-1", ""));
    assert_eq!(bucket.style, BucketStyle::Virtual);
    assert_eq!(bucket.secret_key.expose(), "s3cr3t/+key");
    assert!(good(&[]).backup_s3.bucket().is_none());
}

#[test]
fn a_bucket_elsewhere_is_named_in_the_path() {
    let elsewhere = [
        ("BACKUP_S3_ENDPOINT", "http://10.0.0.7:9000"),
        ("BACKUP_S3_REGION", "garage"),
        ("BACKUP_S3_PREFIX", "/acme/strongroom/"),
    ];
    let config = good(&[&BUCKET[..], &elsewhere].concat());
    let bucket = config.backup_s3.bucket().unwrap();
    assert_eq!(bucket.endpoint.as_str(), "http://10.0.0.7:9000/");
    assert_eq!(
        (bucket.region.as_str(), bucket.prefix.as_str()),
        ("garage", "acme/strongroom/")
    );
    assert_eq!(bucket.style, BucketStyle::Path);
    let shown = |setting: Setting| config.describe().into_iter().find(|line| line.setting == setting);
    for secret in [Setting::BackupS3AccessKey, Setting::BackupS3SecretKey] {
        assert_eq!(shown(secret).unwrap().value, "(hidden)");
    }
    assert_eq!(shown(Setting::BackupS3Style).unwrap().value, "path");
    let virtual_there = [&BUCKET[..], &elsewhere, &[("BACKUP_S3_STYLE", "virtual")]].concat();
    let found = errors(&virtual_there, &[]);
    assert!(
        found.len() == 1 && found[0].contains("endpoint is an address"),
        "{found:?}"
    );
}

#[test]
fn what_is_missing_of_a_bucket_is_named() {
    for (missing, _) in &BUCKET[1..] {
        let rest: Vec<_> = BUCKET.into_iter().filter(|(name, _)| name != missing).collect();
        let found = errors(&rest, &[]);
        let begin = format!("STRONGROOM_{missing}: goes with STRONGROOM_BACKUP_S3_BUCKET");
        assert!(found.len() == 1 && found[0].starts_with(&begin), "{found:?}");
    }
    let found = errors(&BUCKET[1..], &[]);
    assert_eq!(
        found,
        ["STRONGROOM_BACKUP_S3_BUCKET: is not set, and STRONGROOM_BACKUP_S3_ACCESS_KEY is: name the bucket"]
    );
    assert_eq!(errors(&[("BACKUP_S3_BUCKET", "acme-backups")], &[]).len(), 3);
    let from_file = [BUCKET[0], BUCKET[1], ("BACKUP_S3_SECRET_KEY_FILE", "k"), BUCKET[3]];
    let config = load(&from_file, &[("k", "s3cr3t/+key\n")]).ok().unwrap();
    assert_eq!(config.backup_s3.secret_key.as_ref().unwrap().expose(), "s3cr3t/+key");
    let found = errors(&[("BACKUP_S3_BUKET", "x")], &[]);
    assert!(
        found[0].ends_with("did you mean STRONGROOM_BACKUP_S3_BUCKET?"),
        "{found:?}"
    );
}

#[test]
fn bad_settings_of_a_bucket_are_refused() {
    for bad in [
        ("BACKUP_S3_BUCKET", "a b"),
        ("BACKUP_S3_BUCKET", "../other"),
        ("BACKUP_S3_ENDPOINT", "https://key:secret@s3.example.com"),
        ("BACKUP_S3_ENDPOINT", "s3.example.com"),
        ("BACKUP_S3_REGION", "eu/central"),
        ("BACKUP_S3_PREFIX", "a/../b"),
        ("BACKUP_S3_PREFIX", "a//b"),
        ("BACKUP_S3_STYLE", "host"),
        ("BACKUP_S3_SECRET_KEY", "two words"),
    ] {
        let rest = BUCKET.into_iter().filter(|(name, _)| *name != bad.0);
        let found = errors(&rest.chain([bad]).collect::<Vec<_>>(), &[]);
        let begin = format!("STRONGROOM_{}: must be", bad.0);
        assert!(found.len() == 1 && found[0].starts_with(&begin), "{bad:?}: {found:?}");
    }
}

#[test]
fn external_worker_needs_postgres_and_may_do_without_redis() {
    let found = errors(&[("WORKER", "external")], &[]);
    assert!(found.len() == 1 && found[0].contains("need PostgreSQL"), "{found:?}");
    assert_eq!(
        errors(
            &[
                ("WORKER", "external"),
                ("REDIS_URL", "redis://r"),
                ("DATABASE_URL", "sqlite://a.db")
            ],
            &[]
        )
        .len(),
        1
    );
    let polling = good(&[("WORKER", "external"), ("DATABASE_URL", "postgres://db/x")]);
    assert_eq!(polling.worker, WorkerMode::External);
    assert!(polling.redis.is_none());
}

#[test]
fn an_administrator_is_named_with_a_password_or_not_at_all() {
    for alone in [("ADMIN_EMAIL", "dana@example.com"), ("ADMIN_PASSWORD", "correct horse")] {
        let found = errors(&[alone], &[]);
        assert!(
            found.len() == 1 && found[0].contains("set both or neither"),
            "{found:?}"
        );
    }
    assert_eq!(
        errors(&[("ADMIN_EMAIL", "dana"), ("ADMIN_PASSWORD", "x")], &[]).len(),
        1
    );
}

#[test]
fn worker_is_external_by_default_only_with_postgres_and_redis() {
    let worker = |env: &[(&str, &str)]| good(env).worker;
    assert_eq!(worker(&[("DATABASE_URL", "postgres://db/x")]), WorkerMode::Embedded);
    assert_eq!(worker(&[("REDIS_URL", "redis://r")]), WorkerMode::Embedded);
    assert_eq!(
        worker(&[("DATABASE_URL", "postgres://db/x"), ("REDIS_URL", "redis://r")]),
        WorkerMode::External
    );
}

#[test]
fn base_url_follows_the_listen_address() {
    assert_eq!(
        good(&[("LISTEN", "0.0.0.0:9")]).base_url.as_str(),
        "http://127.0.0.1:9/"
    );
    assert_eq!(good(&[("LISTEN", "[::]:9")]).base_url.as_str(), "http://[::1]:9/");
    assert_eq!(
        good(&[("LISTEN", "192.0.2.1:9")]).base_url.as_str(),
        "http://192.0.2.1:9/"
    );
    let sender = good(&[("BASE_URL", "https://secrets.example.com:8443")]).mail_from;
    assert_eq!(sender.to_string(), "Strongroom <noreply@secrets.example.com>");
    for bad in [
        "https://a:b@example.com",
        "https://example.com/?q",
        "ftp://example.com",
        "https://example.com/#f",
    ] {
        assert_eq!(errors(&[("BASE_URL", bad)], &[]).len(), 1, "{bad}");
    }
}

#[test]
fn sqlite_in_memory_is_refused() {
    for url in ["sqlite::memory:", "sqlite://a?mode=memory"] {
        assert_eq!(errors(&[("DATABASE_URL", url)], &[]).len(), 1, "{url}");
    }
    assert!(good(&[("DATABASE_URL", "sqlite://a.db")]).database.is_sqlite());
}

#[test]
fn names_are_distinct_and_documented() {
    let mut names: Vec<_> = Setting::ALL.iter().map(|setting| setting.variable()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Setting::ALL.len());
    assert!(
        Setting::ALL
            .iter()
            .all(|setting| setting.doc().ends_with('.') && !setting.doc().starts_with(' '))
    );
}

#[test]
fn deployment_guide_lists_every_setting() {
    let guide = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/README.md"));
    for setting in Setting::ALL {
        assert!(
            guide.contains(&format!("`{}`", setting.variable())),
            "{}",
            setting.variable()
        );
    }
}
