package manual

// secretsSchema is the key secrets of fleet.yaml.
func secretsSchema() object {
	text := object{"type": "string"}
	span := object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$`}
	refresh := says(span, "Time between two looks for a new value; 5m if it is not said.")
	return mapping(object{"anyOf": []object{
		strict([]string{"vault"}, object{
			"vault":     says(text, "URL of the server. The controller must allow it (--vault), and has the token."),
			"mount":     says(text, "Mount of the KV version 2 engine; secret if it is not said."),
			"path":      says(text, "Path in the mount that names begin below."),
			"namespace": says(text, "Namespace of the server."),
			"timeout":   says(span, "How long one question may take; 10s if it is not said."),
			"refresh":   refresh,
		}, "A Vault or OpenBao server. NAME/app/db#password is the field password of the secret app/db."),
		strict([]string{"file"}, object{
			"file":    says(text, "Folder below the folder of secrets of the controller (--secrets-dir). NAME/a/b is the file a/b in it."),
			"refresh": refresh,
		}, "Files of the controller."),
		strict([]string{"env"}, object{
			"env":     says(text, "Prefix of variables, behind VIGO_SECRET_. NAME/db with the prefix CI_ is VIGO_SECRET_CI_DB."),
			"refresh": refresh,
		}, "Environment variables of the controller."),
	}}, "Where secrets come from that are not in secrets/, by the name that secrets of theirs begin with.")
}
