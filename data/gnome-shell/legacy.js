// The extension for GNOME 43 and 44. "make" installs it as extension.js.
/* exported init */
const Main = imports.ui.main;
const ExtensionUtils = imports.misc.extensionUtils;
const Me = ExtensionUtils.getCurrentExtension();

class KcmdExtension {
    enable() {
        const quickSettings = Main.panel.statusArea.quickSettings;
        this._indicator = new Me.imports.tile.Indicator(Me.dir);
        quickSettings._indicators.insert_child_at_index(this._indicator, 0);
        quickSettings._addItems(this._indicator.quickSettingsItems);
    }

    disable() {
        this._indicator?.destroy();
        this._indicator = null;
    }
}

function init() {
    ExtensionUtils.initTranslations();
    return new KcmdExtension();
}
