# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared with install.sh
# The broker of --with-broker, and its accounts. Sourced by install.sh.

broker_conf=/etc/mosquitto/conf.d/edgeassist.conf
broker_acl=/etc/mosquitto/edgeassist.acl
accounts=/etc/mosquitto/edgeassist.passwd
daemon_account=edgeassist

# An administrator's broker stays as it is: two configurations that each open a listener don't mix.
check_broker() {
  local file
  if [[ -e $broker_conf ]]; then
    broker_port=${broker_port:-$(broker_listens)}
    return
  fi
  broker_port=${broker_port:-1883}
  file=$(foreign_broker_file)
  [[ -z $file ]] || fail "--with-broker: this machine's Mosquitto has a configuration of its own already: $file." \
    "Install without --with-broker, and let EdgeAssist use that broker:" \
    "docs/installation.md, \"A broker of your own\""
}

foreign_broker_file() {
  local file=/etc/mosquitto/mosquitto.conf known
  compgen -G '/etc/mosquitto/conf.d/*.conf' && return
  [[ -e $file ]] || return 0
  known=$(dpkg-query -W -f '${Conffiles}\n' mosquitto 2>/dev/null | awk -v file="$file" '$1 == file {print $2}')
  [[ $(md5sum <"$file" | cut -d' ' -f1) == "$known" ]] || echo "$file"
}

set_up_broker() {
  local changed=false file
  lay_broker_file "$broker_conf" broker_conf_text
  lay_broker_file "$broker_acl" broker_acl_text
  if [[ ! -e $secrets/edgeassist.mqtt.password ]] || ! has_account "$daemon_account"; then
    step "make the broker's account $daemon_account, and store its password as the daemon's credential" \
      make_daemon_account
    changed=true
  fi
  for file in "$broker_acl" "$accounts"; do  # as an earlier version laid them
    [[ ! -e $file || $(stat -c '%U:%G %a' "$file") == 'mosquitto:mosquitto 600' ]] ||
      step "let nobody but Mosquitto read $file" confine "$file"
  done
  $no_start || systemctl -q is-active mosquitto 2>/dev/null || changed=true
  systemctl -q is-enabled mosquitto 2>/dev/null || step "let Mosquitto start at boot" enable_unit mosquitto
  if $changed && ! $no_start; then step "start Mosquitto" restart_broker; fi
}

# lay_broker_file FILE TEXT_FUNCTION: what an administrator may have changed stays; the new default goes beside.
lay_broker_file() {
  local file=$1 text=$2
  if [[ ! -e $file ]]; then
    step "write $file" write_broker_file "$file" "$text"
    changed=true
  elif ! "$text" | cmp -s - "$file" && ! "$text" | cmp -s - "$file.new"; then
    step "lay the new default beside yours: $file.new" write_broker_file "$file.new" "$text"
  fi
}

write_broker_file() {
  "$2" >"$1.part"
  chmod 644 "$1.part"
  [[ $1 != "$broker_acl"* ]] || confine "$1.part"
  mv "$1.part" "$1"
}

# Mosquitto warns of a list of accounts or rights that is not its own, or that others may read: "Future versions will
# refuse to load this file".
confine() {
  chown mosquitto:mosquitto "$1"
  chmod 600 "$1"
}

broker_conf_text() {
  cat <<END
# The broker of EdgeAssist; written once by its installer, and yours to change.
listener $broker_port
allow_anonymous false
password_file $accounts
acl_file $broker_acl
# Longer messages end their sender's connection. The daemon reads as much of one.
max_packet_size 1048576
# Nagle's algorithm would hold tokens back for up to 88 ms.
set_tcp_nodelay true
# WebSockets, for the page of edgeassist console in a browser on this machine, or through an SSH tunnel:
#listener 9001 127.0.0.1
#protocol websockets
END
}

broker_acl_text() {
  cat <<END
# Who may do what at the broker of EdgeAssist; written once by its installer, and yours to change.
# Topics are edgeassist/<device>/...

user $daemon_account
topic readwrite edgeassist/#
topic readwrite homeassistant/#

# Home Assistant, where its account is called so (--add-client homeassistant): what MQTT discovery needs, and what its
# integration does with the client name "assist".
user homeassistant
topic read homeassistant/#
topic write homeassistant/status
topic read edgeassist/+/info
topic read edgeassist/+/watch/+
topic read edgeassist/+/event/homeassistant
topic write edgeassist/+/command/cancel
topic write edgeassist/+/prompt/assist
topic write edgeassist/+/decide/assist
topic write edgeassist/+/command/cancel/assist
topic read edgeassist/+/reply/assist/+

# Every other account: its own prompts and decisions, its own answers, and how the devices are. %u is the account's name.
# A fleet's topics are edgeassist/fleet/<group>/...
pattern write edgeassist/+/prompt/%u
pattern write edgeassist/+/decide/%u
pattern write edgeassist/+/command/cancel/%u
pattern read edgeassist/+/response/cancel/%u
pattern read edgeassist/+/reply/%u/#
pattern read edgeassist/+/status
pattern read edgeassist/+/health
pattern read edgeassist/+/telemetry
pattern write edgeassist/fleet/+/prompt/%u
pattern write edgeassist/fleet/+/decide/%u
pattern write edgeassist/fleet/+/command/cancel/%u
pattern read edgeassist/fleet/+/response/cancel/%u
pattern read edgeassist/fleet/+/reply/%u/#
pattern read edgeassist/fleet/+/box/+
END
}

has_account() { grep -qs "^$1:" "$accounts"; }

new_password() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }

make_daemon_account() {
  daemon_password=$(new_password)
  set_account "$daemon_account" "$daemon_password"
  store_secret mqtt.username "$daemon_account"
  store_secret mqtt.password "$daemon_password"
  restart_needed=true
}

# set_account NAME PASSWORD: not by mosquitto_passwd's arguments, which other users could see in the process list.
set_account() {
  local new=$accounts.part
  (umask 077 && printf '%s:%s\n' "$1" "$2" >"$new")
  mosquitto_passwd -U "$new"
  [[ ! -e $accounts ]] || grep -v "^$1:" "$accounts" >>"$new" || true
  confine "$new"
  mv "$new" "$accounts"
}

restart_broker() {
  systemctl restart mosquitto >>"$log" 2>&1 ||
    fail "Mosquitto does not start; is its port taken? It says:" "$(journalctl -u mosquitto -n 5 -o cat)"
}

add_client() {
  local name=$1 password
  [[ $name =~ ^[A-Za-z0-9_-]{1,64}$ ]] || fail "--add-client: a name has 1 to 64 letters, digits, _ and -"
  [[ $name != "$daemon_account" ]] || fail "--add-client: $name is the daemon's own account"
  [[ -e $broker_conf ]] || fail "--add-client: there is no broker of --with-broker on this machine"
  ! has_account "$name" || fail "--add-client: $name is there already; for a new password remove its line in $accounts"
  password=$(new_password)
  step "add the account $name to $accounts" set_account "$name" "$password"
  $no_start || step "let Mosquitto read it" systemctl reload mosquitto
  $dry_run || cat <<END

The account $name has the password $password (it is shown this once). Its first prompt:
  mosquitto_sub -p $(broker_listens) -u $name -P $password -v -t 'edgeassist/+/reply/$name/#' &
  mosquitto_pub -p $(broker_listens) -u $name -P $password -t edgeassist/$(device_name)/prompt/$name -m 'Hello'
END
  if [[ $name == homeassistant ]] && ! $dry_run; then
    echo "A home takes thousands of tokens: where another model than the built-in one is to control it, set"
    echo "context = 8192 below [model] in /etc/edgeassist/edgeassist.toml."
  fi
}

broker_listens() { awk '$1 == "listener" {print $2; exit}' "$broker_conf"; }

# As edgeassist/protocol/topics.py makes it of the host name, where the settings name none.
device_name() {
  local name
  name=$(sed -n '/^\[device\]/,/^\[mqtt\]/s/^name *= *"\(.*\)".*/\1/p' /etc/edgeassist/edgeassist.toml 2>/dev/null)
  [[ -n $name ]] || name=$(hostname | tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9_-]+/-/g; s/^-+|-+$//g')
  echo "${name:-device}"
}
