"""Keys and tokens that their issuers gave a prefix or another mark of their own, by issuer.

Sources are the issuers' documentation and the rule sets of public secret scanners, read for their formats. Lengths are
mostly lower bounds, below what is issued today: issuers lengthen their tokens, logs cut them.
"""

from __future__ import annotations

from monitoring.pipeline.redact.opacity import has_random_run, is_mixed
from monitoring.pipeline.redact.shape import Check, Shape, Where

__all__ = ["TOKENS"]

_ALNUM = "[A-Za-z0-9]"
_WORD = "[A-Za-z0-9_]"
_URL64 = "[A-Za-z0-9_-]"
_BASE64 = "[A-Za-z0-9+/]"
_HEX = "[0-9a-f]"
_ANYHEX = "[0-9A-Fa-f]"
_LOWER = "[a-z0-9]"
_UPPER = "[A-Z0-9]"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def _token(kind: str, what: str, prefix: str, rest: str, *, check: Check | None = None) -> Shape:
    """A prefix, and a pattern for what follows it."""
    return Shape(kind, what, prefix, prefix + rest, Where.TOKEN, check=check)


def _prefixed(
    kind: str, what: str, prefix: str, signs: str, least: int, end: str = "", *, check: Check | None = None
) -> Shape:
    """A prefix and at least so many signs after it."""
    return _token(kind, what, prefix, f"{signs}{{{least},}}{end}", check=check)


def _exact(kind: str, what: str, prefix: str, signs: str, count: int) -> Shape:
    """A prefix and exactly so many signs, no letter or digit after them."""
    return _token(kind, what, prefix, f"{signs}{{{count}}}\\b")


_AZURE_MARK = r"(?:\+ASt|\+ABa|\+AMC|\+ACR|\+ASb|\+AEh|\+ARm|AIoT|ACDb|AzCa|AzSe|AzFu|ACOG)"

_CLOUD = (
    Shape("aws_credentials", "AWS access key id with its secret beside it", "(?:AKIA|ASIA)[A-Z0-9]{12}",
          r"""(?:AKIA|ASIA)[A-Z0-9]{16}["']?[\s:,;|/]{1,4}["']?[A-Za-z0-9/+]{40,44}\b""", Where.EDGE),
    _exact("aws_access_key", "AWS access key id", "(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])", _UPPER, 16),
    _prefixed("aws_session_token", "AWS session token", "(?:FwoG|FQoG|IQoJ)", "[A-Za-z0-9/+=]", 60),
    _prefixed("aws_bedrock_key", "Amazon Bedrock API key", "(?:ABSK|bedrock-api-key-)", _BASE64, 40, "={0,2}"),
    _token("aws_mws_token", "Amazon MWS token", r"amzn\.mws\.", _UUID),
    Shape("aws_signature", "signature, credential and token of a presigned AWS address", "x-amz-[sc]",
          r"""(?i:X-Amz-(?:Signature|Credential|Security-Token))(?:=|%3[dD])([^\s&"'<>\[\]\\]{8,})""", Where.WORD),
    Shape("google_signature", "signature of a signed Google Storage address", "x-goog-[sc]",
          r"""(?i:X-Goog-(?:Signature|Credential))(?:=|%3[dD])([^\s&"'<>\[\]\\]{8,})""", Where.WORD),
    _prefixed("gcp_api_key", "Google API key", "AIza", _URL64, 30),
    _prefixed("google_oauth_token", "Google OAuth token or refresh token", r"(?:ya29\.|1//0)", "[A-Za-z0-9_.-]", 20),
    _prefixed("google_client_secret", "Google OAuth client secret", "GOCSPX-", _URL64, 20),
    Shape("azure_client_secret", "Microsoft Entra client secret", "[0-9]Q~",
          "[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{24,}", word=False),
    Shape("azure_key", "Azure key with its service's mark in it (storage, Cosmos DB, Service Bus, search, OpenAI, ...)",
          _AZURE_MARK, rf"[A-Za-z0-9+/_-]{{30,}}{_AZURE_MARK}[A-Za-z0-9+/]{{4,}}={{0,2}}"),
    Shape("azure_devops_token", "Azure DevOps personal access token", "AZDO", "[A-Za-z0-9]{60,}AZDO[A-Za-z0-9]{4}"),
    Shape("azure_sas", "signature of an Azure shared access signature", "sig(?:=|%3d)[a-z0-9%+/_-]{24}",
          "(?i:sig)(?:=|%3[dD])([A-Za-z0-9%+/_-]{24,}=*)", Where.WORD),
    _prefixed("digitalocean_token", "DigitalOcean token", "do[opr]_v1_", _HEX, 40),
    _prefixed("alibaba_access_key", "Alibaba Cloud access key id", "LTAI", _ALNUM, 12, r"\b"),
    _prefixed("tencent_secret_id", "Tencent Cloud secret id", "AKID", _ALNUM, 28),
    _exact("scaleway_access_key", "Scaleway access key", "SCW", _UPPER, 17),
    _prefixed("yandex_token", "Yandex Cloud key or token", r"(?:AQVN|t1\.9|y[0-3]_)", "[A-Za-z0-9_.=-]", 35),
    _prefixed("heroku_token", "Heroku API key", "HRKU-", _URL64, 30),
    _prefixed("fly_token", "Fly.io token", "f(?:o1|m1[ar]|m2)_", "[A-Za-z0-9+/_-]", 40, "={0,3}"),
    _prefixed("render_token", "Render API key", "rnd_", _ALNUM, 20, check=has_random_run),
    _prefixed("vercel_token", "Vercel token", "(?:vercel_blob_rw_|vc[pkaric]_)", _WORD, 20, check=has_random_run),
    _prefixed("netlify_token", "Netlify token", "nf[pcoub]_", _WORD, 30),
    _prefixed("supabase_key", "Supabase token or secret key", "(?:sbp_|sb_secret_)", _URL64, 20),
    _prefixed("planetscale_token", "PlanetScale token or password", "pscale_(?:tkn|oauth|pw)_", "[A-Za-z0-9_=.-]", 20),
    _prefixed("neon_key", "Neon API key", "napi_", _LOWER, 40),
    _token("cloudflare_ca_key", "Cloudflare origin CA key", r"v1\.0-", "[0-9a-f]{24}-[0-9a-f]{60,}"),
    _prefixed("cloudflare_token", "Cloudflare token", "cf(?:ut|at|k)_", _URL64, 30),
    _prefixed("databricks_token", "Databricks token or OAuth secret", "(?:dapi|dose|dkea|dsapi)", _HEX, 32,
              "(?:-[0-9]+)?"),
    _exact("clickhouse_key", "ClickHouse Cloud API secret", "4b1d", _ALNUM, 38),
    _prefixed("openshift_token", "OpenShift token", "sha256~", _URL64, 40),
    _prefixed("docker_token", "Docker Hub access token", "dckr_(?:pat|oat)_", _URL64, 20),
    _token("docker_swarm_token", "Docker Swarm join token", "SWMTKN-1-", "[a-z0-9]{30,}-[a-z0-9]{20,}"),
    Shape("terraform_token", "HCP Terraform token", r"\.atlasv1\.", r"[A-Za-z0-9]{10,}\.atlasv1\.[A-Za-z0-9_=-]{40,}"),
    _prefixed("vault_token", "HashiCorp Vault token", r"hv[sbr]\.", _URL64, 20),
    _token("vault_token", "", r"[sbr]\.", r"[A-Za-z0-9]{24}\b", check=is_mixed),
    _prefixed("pulumi_token", "Pulumi access token", "pul-", _HEX, 40),
    _token("doppler_token", "Doppler token", r"dp\.(?:ct|pt|st|sa|scim|audit|said)\.",
           r"(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{30,}"),
    _token("infisical_token", "Infisical service token", r"st\.", r"[0-9a-f]{24}\.[0-9a-f.]{32,}"),
    _prefixed("onepassword_token", "1Password service account token", "ops_eyJ", _BASE64, 40, "={0,3}"),
    _token("onepassword_key", "1Password secret key", "A3-",
           r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}\b"),
    _prefixed("age_secret_key", "age encryption key", "(?:AGE-SECRET-KEY-1|age-secret-key-1)", _ALNUM, 40),
    _token("tailscale_key", "Tailscale key", "tskey-", "[a-z]{2,12}-[A-Za-z0-9]{6,}-[A-Za-z0-9]{16,}"),
)  # fmt: skip

_CODE = (
    _prefixed("ory_token", "Ory token (Hydra, Kratos, Network)", "ory_(?:at|rt|ac|st|lo|pat|wak)_",
              "[A-Za-z0-9_.-]", 30),
    _prefixed("zuplo_key", "Zuplo API key", "zpka_", "[0-9a-f_]", 30),
    _prefixed("github_token", "GitHub token (personal, OAuth, app, refresh)", "gh[pousr]_", _WORD, 30),
    _prefixed("github_token", "", "github_pat_", _WORD, 30),
    _prefixed("gitlab_token", "GitLab token (personal, deploy, runner, job, trigger, feed, agent, ...)",
              "gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-", "[A-Za-z0-9_.-]", 20),
    _prefixed("gitlab_token", "", "GR1348941", _URL64, 20),
    _prefixed("atlassian_token", "Atlassian or Bitbucket token", "AT(?:ATT3|CTT3|OATT3|BB)", "[A-Za-z0-9_=-]", 24),
    _prefixed("npm_token", "npm access token", "npm_", _ALNUM, 30),
    _prefixed("pypi_token", "PyPI upload token", "pypi-", _URL64, 50),
    _prefixed("rubygems_key", "RubyGems API key", "rubygems_", _HEX, 40),
    _exact("nuget_key", "NuGet API key", "oy2", _LOWER, 43),
    _exact("crates_token", "crates.io token", "cio", _ALNUM, 32),
    _prefixed("clojars_token", "Clojars deploy token", "CLOJARS_", _ALNUM, 40),
    _prefixed("packagist_token", "Packagist token", "packagist_[a-z]{3}_", _HEX, 40),
    _prefixed("jfrog_token", "JFrog Artifactory key or reference token", "(?:AKCp|cmVmd)", _ALNUM, 50, r"\b"),
    _prefixed("circleci_token", "CircleCI token", "CCI(?:PAT|PRJ)_", _WORD, 30),
    _prefixed("buildkite_token", "Buildkite token", "bk(?:ua|at|rt|ct|jt)_", _WORD, 30),
    _prefixed("sonar_token", "SonarQube token", "sq[apu]_", _HEX, 40),
    _token("sourcegraph_token", "Sourcegraph access token", "sgp_", "(?:(?:[0-9a-fA-F]{16}|local)_)?[0-9A-Za-z]{40,}"),
    _prefixed("postman_key", "Postman API key", "PMAK-", "[0-9A-Fa-f-]", 40),
    _prefixed("readme_key", "ReadMe API key", "rdme_", _LOWER, 60),
    _prefixed("scalingo_token", "Scalingo token", "tk-us-", _URL64, 40),
    _prefixed("prefect_key", "Prefect API key", "pn[ub]_", _ALNUM, 30),
    _token("harness_token", "Harness token", r"[ps]at\.", r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}"),
    _exact("octopus_key", "Octopus Deploy API key", "API-", _UPPER, 26),
    _token("launchdarkly_key", "LaunchDarkly SDK key", "(?:sdk|mob)-", _UUID),
    _prefixed("contentful_token", "Contentful token", "CFPAT-", _URL64, 40),
    _prefixed("frameio_token", "Frame.io token", "fio-u-", "[A-Za-z0-9_=-]", 50),
    _prefixed("typeform_token", "Typeform token", "tfp_", "[A-Za-z0-9_.=-]", 40),
    _prefixed("linear_key", "Linear API key", "lin_(?:api|oauth)_", _ALNUM, 30),
    _prefixed("notion_token", "Notion token", "ntn_", _ALNUM, 40),
    _exact("notion_token", "", "secret_", _ALNUM, 43),
    _token("airtable_token", "Airtable personal access token", "pat", r"[A-Za-z0-9]{14}\.[0-9a-f]{40,}"),
    _prefixed("figma_token", "Figma token", "fig[dou]r?_", _URL64, 30),
    Shape("asana_token", "Asana personal access token", "[12]/[0-9]{10}",
          r"[12]/[0-9]{10,20}(?:/[0-9]{10,20})?:[0-9a-f]{32}", Where.EDGE),
    _exact("infracost_key", "Infracost API key", "ico-", _ALNUM, 32),
    _token("defined_networking_key", "Defined Networking key", "dnkey-", "[A-Za-z0-9_=-]{20,}-[A-Za-z0-9_=-]{40,}"),
    _prefixed("intra42_secret", "42 intranet client secret", "s-s4t2(?:ud|af)-", _HEX, 60),
    _prefixed("lichess_token", "Lichess token", "li[po]_", _ALNUM, 20),
    _prefixed("adobe_secret", "Adobe client secret", "p8e-", _ALNUM, 32),
    Shape("maxmind_key", "MaxMind license key", r"_mmk\b", r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk\b"),
    _token("jetbrains_token", "JetBrains permanent token", "perm[:-]",
           r"[A-Za-z0-9+/=]{4,64}\.[A-Za-z0-9+/=-]{2,64}\.[A-Za-z0-9]{20,}"),
)  # fmt: skip

_COMMERCE = (
    _token("stripe_key", "Stripe secret or restricted key", "[sr]k_", "(?:live|test|prod)_[A-Za-z0-9]{10,}"),
    _prefixed("stripe_webhook_secret", "webhook signing secret (Stripe, Svix)", "whsec_", "[A-Za-z0-9+/_-]", 20,
              "={0,2}"),
    _prefixed("square_token", "Square token or secret", "sq0(?:atp|csp|idp)-", _URL64, 20),
    _prefixed("square_token", "", "EAAA[A-Za-z]", _URL64, 55),
    Shape("braintree_token", "Braintree access token", r"access_token\$",
          r"access_token\$[a-z]{4,12}\$[0-9a-z]{16}\$[0-9a-f]{32}", Where.EDGE),
    _token("plaid_token", "Plaid access token", "(?:access|public|link)-(?:sandbox|development|production)-", _UUID),
    _exact("razorpay_key", "Razorpay key", "rzp_(?:live|test)_", _ALNUM, 14),
    _token("flutterwave_key", "Flutterwave secret key", "FLWSECK", "(?:_TEST)?-[0-9A-Za-z]{12,}(?:-X)?"),
    _prefixed("adyen_key", "Adyen API key", "AQE[a-z]hm", "[A-Za-z0-9+/=.-]", 60),
    _prefixed("shopify_token", "Shopify token or secret", "shp(?:at|ca|pa|ss|tka|rt)_", _ANYHEX, 32),
    _exact("easypost_key", "EasyPost API key", "EZ[AT]K", _ALNUM, 54),
    _prefixed("duffel_token", "Duffel token", "duffel_(?:test|live)_", "[A-Za-z0-9_=-]", 40),
    _prefixed("shippo_token", "Shippo token", "shippo_(?:live|test)_", _ANYHEX, 40),
    _token("payment_key", "live or test key of GoCardless, Mollie, Lob, Browserbase", "(?:live|test|sandbox)_",
           r"(?:[0-9a-f]{35}|[A-Za-z0-9_-]{40}|[A-Za-z0-9]{30})\b", check=has_random_run),
    _token("mercadopago_token", "Mercado Pago token", "APP_USR-", "[0-9]{6,}-[0-9]{6}-[0-9a-f_-]{32,}"),
    _exact("woocommerce_key", "WooCommerce key or secret", "c[ks]_", _HEX, 40),
)  # fmt: skip

_MESSAGES = (
    _prefixed("slack_token", "Slack token", r"(?:xoxe\.)?xox[a-z]-", _URL64, 12),
    _prefixed("slack_token", "", "(?:xapp|xwfp)-", _URL64, 20),
    Shape("firebase_key", "Firebase Cloud Messaging server key", ":APA91b",
          "[A-Za-z0-9_-]{11}:APA91b[A-Za-z0-9_-]{100,}"),
    _prefixed("mailersend_token", "MailerSend token", r"mlsn\.", _HEX, 40),
    Shape("slack_webhook", "Slack webhook address", r"hooks\.slack",
          r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_-]{16,})"),
    Shape("discord_webhook", "Discord webhook address", r"discord(?:app)?\.com/api",
          r"discord(?:app)?\.com/api/(?:v[0-9]+/)?webhooks/([0-9]+/[A-Za-z0-9_-]{20,})"),
    Shape("discord_token", "Discord bot or user token", r"[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.",
          r"[MNO][A-Za-z0-9_-]{22,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}", Where.EDGE),
    _prefixed("discord_token", "", r"mfa\.", _URL64, 60),
    Shape("telegram_token", "Telegram bot token", "(?:bot)?[0-9]{8,10}:[A-Za-z0-9_-]{20}",
          r"(?:bot)?([0-9]{8,10}:[A-Za-z0-9_-]{35})\b", Where.EDGE, check=is_mixed),
    Shape("teams_webhook", "Microsoft Teams webhook address", r"webhook\.office\.com",
          r"webhook\.office\.com/webhookb2/([A-Za-z0-9@/-]{36,})"),
    Shape("webhook", "webhook address of Zapier, IFTTT or Make", r"hooks\.zapier|maker\.ifttt|make\.com/",
          r"(?:hooks\.zapier\.com/hooks/(?:catch|standard)/|maker\.ifttt\.com/trigger/[^\s/]{1,64}/(?:json/)?with/key/"
          r"|hook(?:\.[a-z0-9]{2,4})?\.make\.com/)([A-Za-z0-9/_-]{12,})"),
    _exact("twilio_key", "Twilio API key", "SK", _HEX, 32),
    _token("twilio_key", "", "AC", r"""[0-9a-f]{32}["']?[\s,:/]{1,3}["']?([0-9a-f]{32})\b"""),
    _token("sendgrid_key", "SendGrid API key", r"SG\.", r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}"),
    _exact("mailgun_key", "Mailgun key", "(?:pub)?key-", _HEX, 32),
    Shape("mailgun_key", "", r"-[0-9a-f]{8}-[0-9a-f]{8}\b", r"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b"),
    Shape("mailchimp_key", "Mailchimp API key", "[0-9a-f]-us[0-9]", r"[0-9a-f]{32}-us[0-9]{1,2}\b"),
    _prefixed("mandrill_key", "Mandrill API key", "md-", _URL64, 22, r"\b", check=has_random_run),
    _token("brevo_key", "Brevo (Sendinblue) key", "x(?:keysib|smtpsib)-", "[0-9a-f]{40,}-[A-Za-z0-9]{12,}"),
    _token("resend_key", "Resend API key", "re_", "[A-Za-z0-9]{6,10}_[A-Za-z0-9]{16,}", check=has_random_run),
    _exact("klaviyo_key", "Klaviyo private key", "pk_", _HEX, 34),
    _token("hubspot_token", "HubSpot private app token", "pat-[a-z]{2}[0-9]-", f"(?i:{_UUID})"),
    _exact("twitch_token", "Twitch OAuth token", "oauth:", _LOWER, 30),
    _prefixed("facebook_token", "Facebook access token", "EAA[A-Z]", _ALNUM, 80),
    Shape("facebook_token", "", r"[0-9]{13,17}(?:\||%7[cC])[A-Za-z0-9_-]{20}",
          r"[0-9]{13,17}(?:\||%7[cC])[A-Za-z0-9_-]{27,40}\b", Where.EDGE, check=has_random_run),
    _prefixed("instagram_token", "Instagram access token", "IG(?:QV|QW|AA)", _URL64, 60),
    Shape("twitter_bearer", "X (Twitter) bearer token", "A{18}",
          "A{18,24}[A-Za-z0-9]{6,40}%[0-9A-F]{2}[A-Za-z0-9%]{30,}", Where.EDGE),
    _prefixed("linkedin_secret", "LinkedIn client secret", r"WPL_AP[01]\.", "[A-Za-z0-9.=/+]", 16),
    _prefixed("dropbox_token", "Dropbox token", r"sl\.(?:u\.)?", _URL64, 60),
    _token("mapbox_token", "Mapbox token", r"[spt]k\.eyJ", r"[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{16,}"),
    _prefixed("intercom_token", "Intercom access token", "dG9rOi", "[A-Za-z0-9+/=_-]", 40),
)  # fmt: skip

_TELEMETRY = (
    _prefixed("newrelic_key", "New Relic key", "NR(?:AK|JS|II|AA|IQ|RA|SP)-", _URL64, 16),
    Shape("newrelic_key", "", r"NRAL\b", r"[0-9A-Za-z]{28,40}NRAL\b"),
    _prefixed("sentry_token", "Sentry token", "sntr[yu][us]?_", "[A-Za-z0-9+/=_-]", 40),
    _prefixed("grafana_token", "Grafana token", "gl(?:sa|c)_", "[A-Za-z0-9+/_-]", 32, "={0,3}"),
    _prefixed("grafana_token", "", "eyJrIjoi", "[A-Za-z0-9]", 40, "={0,3}"),
    _prefixed("honeycomb_key", "Honeycomb key", "hc[abik][a-z]{2}_", _LOWER, 40),
    _token("dynatrace_token", "Dynatrace token", r"dt0[a-z][0-9]{2}\.", r"[A-Z0-9]{20,}\.[A-Z0-9]{40,}"),
    _token("axiom_token", "Axiom token", "xa[ap]t-", _UUID),
    _token("langfuse_key", "Langfuse key", "[sp]k-lf-", _UUID),
    _prefixed("langsmith_key", "LangSmith key", "ls(?:v2_(?:pt|sk)_|__)", "[0-9a-f_]", 32),
    _prefixed("wandb_key", "Weights & Biases key", "wandb_v[0-9]_", _WORD, 30),
    _prefixed("posthog_key", "PostHog key", "ph[cxs]_", _ALNUM, 32),
    _prefixed("logfire_token", "Pydantic Logfire token", "pylf_v[0-9]_[a-z]{2,8}_", _ALNUM, 30),
    _prefixed("elastic_key", "Elastic Cloud key", "essu_", "[A-Za-z0-9+/=_-]", 40),
)  # fmt: skip

_AI = (
    _prefixed("anthropic_key", "Anthropic key", "sk-ant-", _URL64, 16),
    _prefixed("openai_key", "OpenAI key", "sk-(?:proj|svcacct|admin|None|service)-", _URL64, 16),
    _token("openai_key", "", "sk-", "[A-Za-z0-9_-]{12,}T3BlbkFJ[A-Za-z0-9_-]{12,}"),
    _prefixed("openai_key", "", "sess-", _ALNUM, 32),
    _prefixed("openrouter_key", "OpenRouter key", "sk-or-", _URL64, 30),
    _prefixed("ai_key", "key that begins with sk- (DeepSeek, Stability, Moonshot, LiteLLM, older OpenAI ones)", "sk-",
              _URL64, 18, check=has_random_run),
    _prefixed("huggingface_token", "Hugging Face token", "(?:hf|api_org)_", _ALNUM, 30),
    _prefixed("replicate_token", "Replicate token", "r8_", _ALNUM, 30),
    _prefixed("groq_key", "Groq key", "gsk_", _ALNUM, 30),
    _prefixed("anyscale_key", "Anyscale key", "(?:esecret|aph[0-9])_", _ALNUM, 30),
    _prefixed("xai_key", "xAI key", "xai-", _ALNUM, 40),
    _prefixed("perplexity_key", "Perplexity key", "pplx-", _ALNUM, 32),
    _prefixed("together_key", "Together AI key", "tgp_v[0-9]_", _URL64, 30),
    _prefixed("fireworks_key", "Fireworks AI key", "fw_", _ALNUM, 20, r"\b", check=has_random_run),
    _exact("elevenlabs_key", "ElevenLabs key", "sk_", _HEX, 48),
    _prefixed("pinecone_key", "Pinecone key", "pcsk_", _WORD, 30),
    _prefixed("voyage_key", "Voyage AI key", "pa-", _URL64, 40, check=has_random_run),
    _prefixed("jina_key", "Jina AI key", "jina_", _WORD, 30, check=has_random_run),
    _prefixed("nvidia_key", "NVIDIA API key", "nvapi-", _URL64, 40),
    _prefixed("cerebras_key", "Cerebras key", "csk-", _ALNUM, 30),
    _exact("modal_token", "Modal token", "a[ks]-", _ALNUM, 22),
    _prefixed("runpod_key", "RunPod key", "rpa_", _UPPER, 30),
    _prefixed("tavily_key", "Tavily key", "tvly-", _URL64, 24),
    _exact("firecrawl_key", "Firecrawl key", "fc-", _HEX, 32),
    _prefixed("e2b_key", "E2B key", "e2b_", _HEX, 32),
    _prefixed("apify_token", "Apify token", "apify_api_", _ALNUM, 30),
    _prefixed("llamacloud_key", "LlamaCloud key", "llx-", _ALNUM, 30),
    _prefixed("kaggle_token", "Kaggle token", "KGAT_", _ALNUM, 30),
    _prefixed("nomic_key", "Nomic key", "nk-", _URL64, 40, check=has_random_run),
)  # fmt: skip

_WALLETS = (
    _prefixed("wallet_key", "extended private key of a wallet, Nostr or Stellar secret", "[xyz]prv",
              "[1-9A-HJ-NP-Za-km-z]", 90),
    _prefixed("wallet_key", "", "nsec1", _LOWER, 50),
    Shape("wallet_key", "", "S[A-Z2-7]{24}", r"S[A-Z2-7]{55}\b", Where.EDGE),
)  # fmt: skip

TOKENS: tuple[Shape, ...] = (*_CLOUD, *_CODE, *_COMMERCE, *_MESSAGES, *_TELEMETRY, *_AI, *_WALLETS)
"""In order of preference: where two fit the same text, the first counts. A row without `what` is another form of the
kind before it."""
