//! `holdpoint demo`: a whole deployment in one folder, made on the spot, and what to try with it.
//!
//! The folder holds a real configuration, so that whoever likes the demo has something to copy.
//! Only addresses differ: those of the running demo take the place of those in the file.

mod files;
mod guide;
mod upstream;

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use clap::ValueEnum;

use crate::config::Config;
use crate::config::ConfigError;
use crate::server;
use crate::server::Launch;
use crate::server::Ready;
use crate::server::Source;
use crate::server::system_clock;
use crate::telemetry::Telemetry;

use super::out;

use files::Files;
use upstream::ExampleUpstream;

/// How to run the demo.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Keep keys, approvals and audit log in this folder, and continue with what is there; else
    /// they are in a temporary folder, which is removed at the end
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The agents' port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    proxy_port: u16,
    /// The reviewers' port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9443)]
    admin_port: u16,
    /// How to say that it is ready: a guide for people, or one JSON object on one line
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Text,
    Json,
}

pub(super) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let temporary = args.data_dir.is_none();
    let folder = match &args.data_dir {
        Some(folder) => std::path::absolute(folder)?,
        None => temporary_folder()?,
    };
    let files = Files::make(&folder, system_clock().now())
        .with_context(|| format!("the demo cannot use the folder `{}`", folder.display()))?;
    let result = serve(args, &files);
    if temporary {
        // The secrets in it are worth nothing any more, and it is not worth an error.
        let _ = std::fs::remove_dir_all(&folder);
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn serve(args: &DemoArgs, files: &Files) -> anyhow::Result<()> {
    let upstream = ExampleUpstream::start(&files.folder)?;
    let config = files.config();
    let address = upstream.address;
    let proxy = SocketAddr::from((Ipv4Addr::LOCALHOST, args.proxy_port));
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, args.admin_port));
    let source: Source = Arc::new(move || placed(Config::read(&config)?, proxy, admin, address));
    let log = source()?.telemetry.log;
    let guard = Telemetry::init(log.format, &log.level)?;
    let mut told = Ok(());
    server::serve(source, Launch::default(), system_clock(), &guard, |ready| {
        told = tell(args.output, files, ready, address)
    })?;
    told
}

/// The configuration with the addresses of this run.
fn placed(
    mut config: Config,
    proxy: SocketAddr,
    admin: SocketAddr,
    upstream: SocketAddr,
) -> Result<Config, ConfigError> {
    if let Some(listener) = config.listen.first_mut() {
        listener.address = proxy;
    }
    config.admin.address = admin;
    for known in &mut config.upstreams {
        if known.name.as_str() == files::UPSTREAM
            && let Ok(url) = format!("http://{upstream}").parse()
        {
            known.url = url;
        }
    }
    Ok(config)
}

fn tell(form: Form, files: &Files, ready: &Ready, upstream: SocketAddr) -> anyhow::Result<()> {
    let proxy = ready.proxy.first().copied().context("the demo listens on no address")?;
    match form {
        Form::Json => out::json(&serde_json::json!({
            "proxy": format!("https://{proxy}"),
            "admin": format!("https://{}", ready.admin),
            "ca": files.ca(),
            "agent_key": files.agent_key()?,
            "reviewers": files.reviewer_tokens()?,
            "data_dir": files.folder,
            "upstream": format!("http://{upstream}"),
        })),
        Form::Text => {
            let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("holdpoint"));
            files.write_environments(ready.admin)?;
            Ok(out::line(guide::text(files, &program, proxy, ready.admin)?)?)
        }
    }
}

fn temporary_folder() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    let name = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let folder = std::env::temp_dir().join(format!("holdpoint-demo-{name}"));
    // It must be new, and ours alone: others can write in the folder around it.
    let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
    made.with_context(|| format!("the folder `{}` cannot be made", Path::display(&folder)))?;
    Ok(folder)
}
