#include "detect/command_facts.h"
#include "detect/rule.h"

static const char *const words[] = {"nmap", "masscan", "zmap", "zgrab", "hydra", "medusa", "ncrack", "patator", "john", "hashcat", "sqlmap", "nikto", "metasploit", "msf", "meterpreter",
                                    "aircrack", "airodump", "aireplay", "ettercap", "bettercap", "responder", "crackmapexec", "nxc", "impacket", "wpscan", "gobuster", "dirbuster", "ffuf",
                                    "linpeas", "linenum", "pspy", "ligolo", "sliver", "netdiscover", "thc-", "routersploit", "rsf", "wfuzz", "exploit-suggester", "traitor", "deepce", "nuclei", "dirsearch", "evil-winrm", "hping", "slowloris", "pnscan", "dirb",
                                    "harvester", "yersinia", NULL};
/* Their programs and scripts, without an ending. */
static const char *const tools[] = {"nmap", "masscan", "zmap", "zgrab", "zgrab2", "hydra", "medusa", "ncrack", "patator", "john", "hashcat", "sqlmap", "nikto", "msfconsole", "msfvenom", "msfdb",
                                    "meterpreter", "aircrack-ng", "airodump-ng", "aireplay-ng", "ettercap", "bettercap", "responder", "crackmapexec", "nxc", "wpscan", "gobuster", "dirbuster",
                                    "ffuf", "linpeas", "linpeas_linux_amd64", "linenum", "pspy", "pspy32", "pspy64", "ligolo-agent", "sliver-client", "netdiscover", "rsf", "routersploit", "wfuzz",
                                    "linux-exploit-suggester", "les", "traitor", "deepce", "nuclei", "dirsearch", "thc-ssl-dos", "metasploit", "evil-winrm", "hping3", "slowloris", "pnscan",
                                    "dirb", "theharvester", "yersinia", NULL};

static bool is_tool(struct text path)
{
    struct text name = event_base_name(path);
    char folded[64];

    if (text_ends(name, TEXT(".sh")) || text_ends(name, TEXT(".py")) || text_ends(name, TEXT(".rb")) || text_ends(name, TEXT(".pl")))
        name.count -= 3;
    if (!name.count || name.count >= sizeof folded)
        return false;
    for (size_t i = 0; i < name.count; i++)
        folded[i] = (char)(name.bytes[i] >= 'A' && name.bytes[i] <= 'Z' ? name.bytes[i] | 0x20 : name.bytes[i]);
    return text_among((struct text){folded, name.count}, tools) || text_starts((struct text){folded, name.count}, TEXT("impacket-"));
}

static const char *wrong_with(const struct judging *judging, const struct command *command)
{
    (void)judging;
    if (is_tool(command->path))
        return "it bears the name of a known attack tool";
    struct text script = command_script(command);
    if (script.bytes && (is_tool(script) || text_contains_nocase(script, "/impacket/")))
        return "a known attack tool is run by an interpreter";
    return NULL;
}

static const struct rule_sample samples[] = {
    {true, "$ nmap -sS -p- 192.168.1.0/24"},
    {true, "$ python3 /opt/sqlmap/sqlmap.py -u http://192.0.2.1/?id=1"},
    {true, "$ sh /tmp/LinEnum.sh"},
    {true, "$ python3 /opt/impacket/examples/psexec.py u@192.0.2.1"},
    {true, "$ hping3 -S --flood -p 80 192.0.2.1"},
    {false, "$ apt-get install -y nmap"},
    {false, "$ man hydra"},
    {false, "$ grep john /etc/passwd"},
};

const struct rule rule_attack_tools = {
    .id = "IoT_KnownAttackTools",
    .title = "A known attack tool was started",
    .severity = "Medium",
    .tactics = "Discovery, CredentialAccess, LateralMovement",
    .techniques = "T1046, T1110, T1588.002, T0846",
    .fires = "A program, or a script given to an interpreter, with the name of a scanner, password cracker, exploit kit or their like.",
    .spares = "Commands that install, document or search for one.",
    .needs = "Processes with their command lines.",
    .tuning = "An exception for the security team's own host.",
    .remediation = rule_ask_user,
    .kinds = EVENT_BIT(EVENT_PROCESS),
    .words = words,
    .command = wrong_with,
    RULE_SAMPLES(samples),
};
